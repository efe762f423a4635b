//! Least in flight: of some candidates, the one with the fewest calls in flight relative to its weight.

use super::{
    candidates::Candidates,
    policy::{Policy, RandomDraws},
    tier::Entry,
};

/// Picks the candidate with the fewest calls in flight for its weight, of two or more that it draws.
///
/// For calls of very different length, such as uploads or queries, where the latency of the last ones says little about the next. A slow
/// instance collects calls in flight and so gets fewer; one that fails at once does not, until it is ejected: the default policy charges failures
/// as slow answers. The calls are those of this pool; each program sees its own.
///
/// ```
/// use discovery::{LeastInFlight, PoolOptions};
///
/// // Ten instances and few, long calls: always the idlest one.
/// let options = PoolOptions::new().policy(LeastInFlight::new().choices(10));
/// ```
///
/// Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001). Two are nearly as good as all, are as cheap for 1,500
/// instances as for 3, and keep many callers from choosing the same idle instance at the same time.
#[derive(Debug, Clone, Copy)]
pub struct LeastInFlight {
    choices: usize,
}

impl Default for LeastInFlight {
    fn default() -> Self {
        Self { choices: 2 }
    }
}

impl LeastInFlight {
    /// Of two candidates.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of candidates that are compared: at least 2, default 2. With as many as there are instances, or more, all are compared.
    #[must_use]
    pub fn choices(self, choices: usize) -> Self {
        Self { choices }
    }
}

impl Policy for LeastInFlight {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        let first = candidates.by_weight(random);
        let better = |best: usize, other: usize| {
            let is_better = has_fewer(candidates.entry(other), candidates.entry(best));
            if is_better { other } else { best }
        };
        if self.choices >= candidates.len() {
            return (0..candidates.len()).fold(first, better);
        }
        let others = (1..self.choices).filter_map(|_| candidates.other_than(first, random));
        { others }.fold(first, better)
    }

    fn check(&self) -> Result<(), String> {
        let choices = self.choices;
        if choices < 2 {
            return Err(format!("choices of LeastInFlight is {choices}: it must be 2 or more"));
        }
        Ok(())
    }
}

/// Whether `other` has fewer calls for its weight, with one more, than the one that was drawn by weight. That draw has accounted for the
/// difference in weight, so the next call counts no more for the first than for the other.
fn has_fewer(other: &Entry, first: &Entry) -> bool {
    other.queue_with_one_more() < first.queue() + first.per_call.min(other.per_call)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    #[test]
    fn fewer_than_two_choices_are_refused() {
        assert!(
            LeastInFlight::new().choices(1).check().unwrap_err().contains("is 1: it must be 2")
        );
        assert_eq!(LeastInFlight::new().check(), Ok(()));
    }

    #[test]
    fn idle_candidates_are_picked_by_weight() {
        let weights = [1, 2, 5];
        let tier = tier(&weights);
        for choices in [2, 3] {
            let counts = counts(&LeastInFlight::new().choices(choices), &all(&tier), 8000, 3);
            assert_shares(&counts, &weights, 300.0);
        }
    }

    proptest! {
        #[test]
        fn of_all_candidates_none_has_fewer_calls_for_its_weight(
            members in prop::collection::vec((1_u16..5, 0_u32..6), 1..10), seed: u64,
        ) {
            let tier = tier(&members.iter().map(|it| it.0).collect::<Vec<_>>());
            for (entry, &(_, calls)) in tier.entries.iter().zip(&members) {
                (0..calls).for_each(|_| entry.member.stats.enter());
            }
            let policy = LeastInFlight::new().choices(members.len().max(2));
            let chosen = all(&tier).entry(policy.choose(&all(&tier), None, &mut draws(seed)));
            for entry in &tier.entries {
                prop_assert!(entry.queue_with_one_more() >= chosen.queue());
            }
        }

        #[test]
        fn calls_that_never_end_are_spread_by_weight(
            weights in prop::collection::vec(1_u16..5, 1..8), seed: u64,
        ) {
            let tier = tier(&weights);
            let mut draws = draws(seed);
            let total = weights.iter().map(|&it| u32::from(it)).sum::<u32>();
            for _ in 0..total * 50 {
                let index = LeastInFlight::new().choose(&all(&tier), None, &mut draws);
                tier.entries[index].member.stats.enter();
            }
            for entry in &tier.entries {
                prop_assert!((40.0..60.0).contains(&entry.queue()), "{:?} by {:?}", entry.queue(), weights);
            }
        }
    }
}
