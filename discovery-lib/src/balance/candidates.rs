//! The instances among which a policy chooses: those of one rank that are eligible now.

use std::{sync::Arc, time::Duration};

use super::{
    policy::RandomDraws,
    tier::{Entry, Tier},
};
use crate::{
    Instance,
    member::{MemberId, Moment},
};

/// Random draws by weight before a scan of all candidates.
const DRAWS_MAX: usize = 16;

/// The eligible members of one rank, as a read-only view. The nearest are first ([`Policy::distance`](crate::Policy::distance)); their order
/// is stable between two changes of the pool.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    tier: &'a Tier,
    /// The places of the eligible entries, ascending; None if all are.
    eligible: Option<&'a [u32]>,
    /// These of the eligible entries.
    start: usize,
    end: usize,
    now: Moment,
}

/// One eligible member.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a>(&'a Entry);

/// The candidates at one distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    /// At least one.
    pub(super) candidates: Candidates<'a>,
    /// The number of members at this distance, also of those that are not eligible.
    pub(super) members: usize,
}

impl<'a> Candidates<'a> {
    /// All members of the tier.
    #[inline]
    pub(super) fn all(tier: &'a Tier, now: Moment) -> Self {
        Self { tier, eligible: None, start: 0, end: tier.entries.len(), now }
    }

    /// The members at these places.
    pub(super) fn at(tier: &'a Tier, places: &'a [u32], now: Moment) -> Self {
        Self { tier, eligible: Some(places), start: 0, end: places.len(), now }
    }

    /// The number of candidates.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none. Always false in [`Policy::choose`](crate::Policy::choose).
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The candidate at an index; None beyond the last.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Candidate<'a>> {
        (index < self.len()).then(|| Candidate(self.entry(index)))
    }

    /// All candidates, in order.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        self.entries().map(Candidate)
    }

    /// A random index, by weight: a candidate of weight 3 is three times as likely as one of weight 1. 0 if there are none.
    ///
    /// In constant time while all members of the rank are eligible.
    #[inline]
    pub fn by_weight(&self, random: &mut RandomDraws) -> usize {
        if self.is_empty() {
            return 0;
        }
        if self.tier.by_weight.is_even() {
            return random.index(self.len());
        }
        if self.is_whole() {
            return self.tier.by_weight.draw(&mut random.0);
        }
        // An index that is drawn uniformly, and accepted with a probability in proportion to its weight.
        let accepted = (0..DRAWS_MAX).find_map(|_| {
            let index = random.index(self.len());
            let is_accepted = random.0.u16(..self.tier.weight_max) < self.entry(index).weight;
            is_accepted.then_some(index)
        });
        accepted.unwrap_or_else(|| self.by_weight_of_all(random))
    }

    /// The number of earlier calls of this method for the pool, from a random number on: for policies that take turns. One atomic addition,
    /// by all threads on one word.
    #[must_use]
    #[inline]
    pub fn turn(&self) -> u64 {
        self.tier.turns.next()
    }

    fn by_weight_of_all(&self, random: &mut RandomDraws) -> usize {
        let mut left = random.0.u64(..self.weights());
        let is_reached = |entry: &Entry| {
            let is_here = left < u64::from(entry.weight);
            left = left.saturating_sub(entry.weight.into());
            is_here
        };
        self.entries().position(is_reached).unwrap_or(0)
    }

    /// Another index, drawn uniformly; None if there is no other.
    #[inline]
    pub(super) fn other_than(&self, first: usize, random: &mut RandomDraws) -> Option<usize> {
        let others = self.len().checked_sub(1).filter(|others| *others > 0)?;
        let index = random.index(others);
        Some(if index < first { index } else { index + 1 })
    }

    /// Those at each distance at which there is one, the nearest first.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level<'a>> + use<'a> {
        let all = *self;
        let starts = [0].into_iter().chain(all.tier.levels.iter().copied());
        starts.zip(&all.tier.levels).filter_map(move |(start, &end)| {
            let index_of = |place: usize| match all.eligible {
                None => place,
                Some(places) => places.partition_point(|&it| (it as usize) < place),
            };
            let within = |index: usize| index.clamp(all.start, all.end);
            let (first, last) = (within(index_of(start)), within(index_of(end)));
            let candidates = Candidates { start: first, end: last, ..all };
            (first < last).then_some(Level { candidates, members: end - start })
        })
    }

    /// The index of the first of these among others that include them.
    pub(super) fn offset_in(&self, outer: &Self) -> usize {
        self.start - outer.start
    }

    /// Whether these are all members of the rank.
    #[inline]
    fn is_whole(&self) -> bool {
        self.len() == self.tier.entries.len()
    }

    /// Whether all have the same weight.
    #[inline]
    pub(super) fn is_even(&self) -> bool {
        self.tier.by_weight.is_even()
    }

    /// The largest weight among them.
    pub(super) fn weight_max(&self) -> u16 {
        if self.is_whole() {
            self.tier.weight_max
        } else {
            self.entries().map(|entry| entry.weight).max().unwrap_or(1)
        }
    }

    /// The sum of their weights.
    pub(super) fn weights(&self) -> u64 {
        self.entries().map(|entry| u64::from(entry.weight)).sum()
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Panics beyond the last.
    #[inline]
    pub(super) fn entry(&self, index: usize) -> &'a Entry {
        &self.tier.entries[self.place(index)]
    }

    /// The place of its entry in the tier. Panics beyond the last.
    #[inline]
    pub(super) fn place(&self, index: usize) -> usize {
        place(self.eligible, self.start + index)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let Self { tier, eligible, start, end, .. } = *self;
        (start..end).map(move |index| &tier.entries[place(eligible, index)])
    }
}

fn place(eligible: Option<&[u32]>, index: usize) -> usize {
    eligible.map_or(index, |places| places[index] as usize)
}

impl<'a> Candidate<'a> {
    /// The instance as Consul describes it.
    #[must_use]
    pub fn instance(&self) -> &'a Arc<Instance> {
        &self.0.member.instance
    }

    /// The identity of the running copy.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.0.member.stats.id()
    }

    /// The weight for its current status, as registered in Consul.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.0.member.instance.weight()
    }

    /// How far away it is, by [`Policy::distance`](crate::Policy::distance).
    #[must_use]
    pub fn distance(&self) -> u8 {
        self.0.distance
    }

    /// The latency estimate, with failures charged as slow answers; None before the first answer.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.0.member.stats.latency().estimate()
    }

    /// The number of calls that use it now. Those of this pool, not those of other programs.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    #[test]
    fn draws_of_a_part_follow_the_weights() {
        // The last one is so light that some draws end in the scan.
        for (weights, places) in
            [(&[1_u16, 5, 2, 7][..], &[0_u32, 2, 3][..]), (&[60_000, 30, 10], &[1, 2])]
        {
            let tier = tier(weights);
            let candidates = Candidates::at(&tier, places, Moment::default());
            let mut counts = vec![0_u32; places.len()];
            let mut draws = draws(1);
            (0..20_000).for_each(|_| counts[candidates.by_weight(&mut draws)] += 1);
            let total = candidates.weights() as f64;
            for (count, entry) in counts.iter().zip(candidates.entries()) {
                let expected = 20_000.0 * f64::from(entry.weight) / total;
                assert!((f64::from(*count) - expected).abs() < 400.0, "{counts:?} of {weights:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn levels_are_all_candidates_by_distance(
            distances in prop::collection::vec(0_u8..5, 1..20), mask: u32,
        ) {
            let tier = tier_at(&distances);
            let places: Vec<u32> =
                (0..distances.len() as u32).filter(|place| mask >> place & 1 == 1).collect();
            let candidates = Candidates::at(&tier, &places, Moment::default());
            let levels: Vec<_> = candidates.levels().collect();
            let flat: Vec<_> = levels.iter().flat_map(|it| it.candidates.iter()).collect();
            prop_assert_eq!(flat.len(), places.len());
            prop_assert!(flat.iter().zip(candidates.iter()).all(|(one, other)| one.member() == other.member()));
            for level in levels {
                let distance = level.candidates.get(0).unwrap().distance();
                prop_assert!(level.candidates.iter().all(|it| it.distance() == distance));
                let members = distances.iter().filter(|it| **it == distance).count();
                prop_assert_eq!(level.members, members);
            }
        }
    }
}
