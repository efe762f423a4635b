//! Weighted round robin: one candidate after the other, each in its share of the rounds.
//!
//! Source: the static stride scheduler of gRFC A58 (gRPC's `weighted_round_robin`). Each turn belongs to one candidate, in order; a candidate of
//! weight w takes w of any W successive turns that it has, evenly spaced, where W is the largest weight, and passes on the others. So picks of
//! a heavy candidate are spread between those of others, there is no state except the number of the turn, and no lock.

use super::{
    candidates::Candidates,
    policy::{Policy, RandomDraws},
};

/// Turns per candidate that one pick takes at most. Alone, a thread finds the heaviest candidate in one; beside others it may miss it.
const ROUNDS_MAX: usize = 4;

/// Picks one candidate after the other by weight, regardless of latency and load: exact shares, without bursts to a heavy one.
///
/// For instances that are alike and requests that cost the same. The default policy avoids slow instances; this one does not, except for
/// ejected ones, which are never candidates. Weights are those in Consul, per status. Callers begin at random instances.
///
/// ```
/// use discovery::{PoolOptions, RoundRobin};
///
/// // A cache that each instance has to fill: all of them get the same number of requests.
/// let options = PoolOptions::new().policy(RoundRobin);
/// ```
///
/// Source: static stride scheduling, gRFC A58.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundRobin;

impl Policy for RoundRobin {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        let count = candidates.len() as u64;
        if candidates.is_even() {
            return (candidates.turn() % count) as usize;
        }
        let most = u64::from(candidates.weight_max());
        let taken = (0..candidates.len() * ROUNDS_MAX).find_map(|_| {
            let turn = candidates.turn();
            let index = (turn % count) as usize;
            let weight = candidates.entry(index).weight.into();
            takes(weight, most, turn / count, index as u64).then_some(index)
        });
        taken.unwrap_or_else(|| candidates.by_weight(random))
    }
}

/// Whether a candidate takes its turn of this round: `weight` of any `most` successive rounds.
fn takes(weight: u64, most: u64, round: u64, index: u64) -> bool {
    // Neighbours of equal weight take different rounds.
    let offset = (index % 2) * (most / 2);
    (weight * (round % most) + offset) % most >= most - weight
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use proptest::prelude::*;

    use super::{super::testing::*, *};
    use crate::member::Moment;

    #[test]
    fn a_heavy_candidate_does_not_get_a_burst() {
        let tier = tier(&[5, 1, 1]);
        let mut draws = draws(1);
        let picks: Vec<_> =
            (0..28).map(|_| RoundRobin.choose(&all(&tier), None, &mut draws)).collect();
        let longest = picks.chunk_by(|one, next| one == next).map(<[_]>::len).max();
        assert!(longest <= Some(3), "{picks:?}");
        let light = picks.windows(7).map(|seven| seven.iter().filter(|it| **it > 0).count());
        assert!(light.clone().all(|light| (1..=3).contains(&light)), "{picks:?}");
    }

    #[test]
    fn threads_share_the_turns() {
        let tier = tier(&[1; 7]);
        let start = Barrier::new(2);
        let of_thread = |seed| {
            start.wait();
            counts(&RoundRobin, &all(&tier), 700_000, seed)
        };
        let both = thread::scope(|scope| {
            let other = scope.spawn(|| of_thread(1));
            (of_thread(2), other.join().unwrap())
        });
        let sums: Vec<_> = both.0.iter().zip(both.1).map(|(one, other)| one + other).collect();
        assert_eq!(sums, [200_000; 7]);
    }

    proptest! {
        #[test]
        fn shares_are_exact_after_as_many_rounds_as_the_largest_weight(
            weights in prop::collection::vec(1_u16..20, 1..10), cycles in 1_usize..4,
        ) {
            let tier = tier(&weights);
            let picks = weights.iter().map(|&it| usize::from(it)).sum::<usize>();
            let counts = counts(&RoundRobin, &all(&tier), picks * cycles, 1);
            let expected: Vec<_> = weights.iter().map(|&it| usize::from(it) * cycles).collect();
            prop_assert_eq!(counts, expected);
        }

        #[test]
        fn without_some_members_the_others_keep_their_proportions(
            weights in prop::collection::vec(1_u16..9, 2..9), mask: u16,
        ) {
            let places: Vec<u32> = (0..weights.len() as u32).filter(|it| mask >> it & 1 == 1).collect();
            prop_assume!(!places.is_empty());
            let tier = tier(&weights);
            let candidates = Candidates::at(&tier, &places, Moment::default());
            let weights: Vec<_> = places.iter().map(|&it| weights[it as usize]).collect();
            assert_shares(&counts(&RoundRobin, &candidates, 840, 1), &weights, 8.0);
        }
    }
}
