//! The power of two choices: of two members, one drawn by weight and one uniformly, the one with the smaller load. The default policy.
//!
//! The load is latency x (in flight + 1) / weight. Mitzenmacher's two choices bound the longest queue; the latency is Finagle's peak EWMA.
//! Drawing the first by weight is an addition: without it, shares follow the weights only under load.

use std::sync::Arc;

use super::{
    Chooser, Eligible,
    candidates::Candidates,
    policy::{Policy, RandomDraws},
    rendezvous,
    tier::{Entry, Tier},
};
use crate::member::{Member, Moment};

/// Random draws before the linear scan for an eligible member.
const DRAWS_MAX: usize = 8;

/// The default policy: of two candidates, picks the one with the smaller load, which is latency x (calls in flight + 1) / weight.
///
/// The latency is a moving average that rises to a slow answer at once and falls gradually, and to which a failure counts as an answer after 5 s.
/// So an instance that is slow, stuck or failing gets few calls before it is ejected. A pick with a key gets the same instance as long as that
/// is eligible (rendezvous hashing, [`PickOptions::key`](crate::PickOptions::key)).
///
/// A pool without a policy does the same, and is faster while an instance is ejected. This type is for programs that choose the policy by a
/// setting.
///
/// ```
/// use discovery::{PeakEwma, PoolOptions, RoundRobin};
///
/// fn options(balance: &str) -> PoolOptions {
///     match balance {
///         "round-robin" => PoolOptions::new().policy(RoundRobin),
///         _ => PoolOptions::new().policy(PeakEwma),
///     }
/// }
/// # let _ = options("round-robin");
/// ```
///
/// Sources: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001); Finagle's Peak EWMA.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma;

impl Policy for PeakEwma {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        if let Some(key) = key {
            let entries = candidates.entries().enumerate();
            let best = rendezvous::highest(key, candidates.is_even(), entries);
            return best.map_or(0, |(index, _)| index);
        }
        let first = candidates.by_weight(random);
        let other = candidates.other_than(first, random);
        let is_lighter = |&other: &usize| {
            is_lighter(candidates.entry(other), candidates.entry(first), candidates.now())
        };
        other.filter(is_lighter).unwrap_or(first)
    }
}

/// As [`PeakEwma`] without a key, without a list of the eligible members.
#[derive(Debug)]
pub(super) struct TwoChoices;

impl Chooser for TwoChoices {
    #[inline]
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>> {
        let first = first(tier, draws, eligible)?;
        let other = other_than(first, tier, draws, eligible);
        let (first, other) = (&tier.entries[first], other.map(|other| &tier.entries[other]));
        let lighter = other.filter(|other| is_lighter(other, first, now));
        Some(&lighter.unwrap_or(first).member)
    }

    #[inline]
    fn choose_any<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
    ) -> Option<&'a Arc<Member>> {
        let count = tier.entries.len();
        if count < 2 || !tier.by_weight.is_even() {
            return self.choose(tier, draws, now, &mut |_| true);
        }
        let (first, other) = two_of(count, draws.u64());
        let (first, other) = (&tier.entries[first], &tier.entries[other]);
        Some(if is_lighter(other, first, now) { &other.member } else { &first.member })
    }
}

/// Two indexes of this many, at least two, each other than the other, from one random number.
#[inline]
fn two_of(count: usize, random: u64) -> (usize, usize) {
    // 32 bits each, multiplied into the range: no index is more likely than another by more than one in a million, for 4000.
    let index = |bits: u64, count: usize| ((bits * count as u64) >> 32) as usize;
    let (first, other) = (index(random >> 32, count), index(random & 0xffff_ffff, count - 1));
    (first, if other < first { other } else { other + 1 })
}

/// An eligible member by weight; if the random draws find none, the next one in order.
#[inline]
fn first<'a>(
    tier: &'a Tier,
    draws: &mut RandomDraws,
    eligible: &mut impl Eligible<'a>,
) -> Option<usize> {
    let count = tier.entries.len();
    if count == 0 {
        return None;
    }
    let drawn = (0..DRAWS_MAX).map(|_| tier.by_weight.draw(&mut draws.0));
    let mut may = |&index: &usize| eligible(&tier.entries[index].member);
    if let Some(index) = { drawn }.find(&mut may) {
        return Some(index);
    }
    let start = draws.0.usize(..count);
    (start..count).chain(0..start).find(may)
}

/// Another eligible member, drawn uniformly. None if the random draws find none.
#[inline]
fn other_than<'a>(
    first: usize,
    tier: &'a Tier,
    draws: &mut RandomDraws,
    eligible: &mut impl Eligible<'a>,
) -> Option<usize> {
    let others = tier.entries.len() - 1;
    let tries = if others < 2 { others } else { DRAWS_MAX };
    let drawn = (0..tries).map(|_| {
        let index = draws.0.usize(..others);
        if index < first { index } else { index + 1 }
    });
    { drawn }.find(|&index| eligible(&tier.entries[index].member))
}

/// Whether `other` has the smaller load, with one more call, than the member that was drawn by weight. The draw has accounted for the
/// difference in weight, so the next call counts no more for the first than for the other.
#[inline]
fn is_lighter(other: &Entry, first: &Entry, now: Moment) -> bool {
    let latency = other.member.stats.latency();
    let (slower, first_slower) = latency.handicaps(first.member.stats.latency(), now);
    let one_more = first.per_call.min(other.per_call);
    slower * other.queue_with_one_more() < first_slower * (first.queue() + one_more)
}

/// Whether the load of one, with one more call, is more than this many times that of the other.
pub(super) fn is_heavier_by(times: f32, one: &Entry, other: &Entry, now: Moment) -> bool {
    let latency = one.member.stats.latency();
    let (slower, other_slower) = latency.handicaps(other.member.stats.latency(), now);
    slower * one.queue_with_one_more() > times * other_slower * other.queue_with_one_more()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    #[test]
    fn each_pair_is_equally_likely() {
        let mut draws = draws(1);
        let mut counts = [[0; 3]; 3];
        for _ in 0..60_000 {
            let (first, other) = two_of(3, draws.u64());
            counts[first][other] += 1;
        }
        for (first, row) in counts.iter().enumerate() {
            for (other, count) in row.iter().enumerate() {
                let expected = if other == first { 0..1 } else { 9500..10_500 };
                assert!(expected.contains(count), "{first} and {other}: {counts:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn idle_members_are_picked_by_weight(weights in prop::collection::vec(1_u16..8, 1..8), seed: u64) {
            let tier = tier(&weights);
            assert_shares(&counts(&PeakEwma, &all(&tier), 10_000, seed), &weights, 300.0);
        }

        #[test]
        fn two_of_any_number_differ_and_are_in_range(count in 2_usize..5000, random: u64) {
            let (first, other) = two_of(count, random);
            prop_assert!(first < count && other < count && first != other);
        }

        #[test]
        fn the_busier_of_two_is_not_picked(weights in prop::array::uniform2(1_u16..4), calls in 1_u32..20, seed: u64) {
            let tier = tier(&weights);
            // More calls for its weight than the other would have with one more.
            (0..calls + 8).for_each(|_| tier.entries[0].member.stats.enter());
            let counts = counts(&PeakEwma, &all(&tier), 100, seed);
            prop_assert_eq!(counts[0], 0);
        }
    }
}
