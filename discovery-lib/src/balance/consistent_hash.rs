//! Consistent hashing with bounded loads: the calls of a key go to one instance, unless that has more than its share of calls in flight.
//!
//! Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016). The order of instances of a key is that of
//! rendezvous hashing instead of a ring: keys are spread evenly and by weight without virtual nodes, nothing is built when the instances change,
//! and a pick reads all candidates, about 5 µs for 1,500.

use super::{
    candidates::Candidates,
    p2c::PeakEwma,
    policy::{Policy, RandomDraws},
    rendezvous,
    tier::Entry,
};

/// Picks the same candidate for the same key, while its calls in flight are below a bound: a multiple of its share of all.
///
/// For instances that cache or shard by key, with keys of very different popularity: the calls of a hot key go on to the next instance of its
/// order, always the same one, instead of overloading one. The share is by weight, and counts the calls of this pool; each program sees its own.
/// When an instance leaves or is ejected, only its keys move. The key is that of [`PickOptions::key`](crate::PickOptions::key) or
/// [`CallOptions::key`](crate::CallOptions::key); [`hash_key`](crate::hash_key) makes one of a header, a cookie or an address. Picks without a
/// key are made as by [`PeakEwma`].
///
/// With fewer calls in flight than instances the bound is one call, so two calls of a key at the same time go to two instances. The default
/// policy has no bound: with it a key stays on its instance, whatever the load.
///
/// ```
/// use discovery::{ConsistentHash, PickOptions, Pool, PoolOptions, hash_key};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let addresses = ["127.0.0.1:8001".parse()?, "127.0.0.1:8002".parse()?];
/// let options = PoolOptions::new().policy(ConsistentHash::new().load_max(150));
/// let pool = Pool::fixed_with("cache", addresses, options)?;
/// let of = |user| pool.pick_with(PickOptions::new().key(hash_key(user)));
/// let first = of("alice")?.member();
/// assert_eq!(of("alice")?.member(), first);
/// # Ok(())
/// # }
/// ```
///
/// Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016).
#[derive(Debug, Clone, Copy)]
pub struct ConsistentHash {
    load_max_percent: u16,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self { load_max_percent: 125 }
    }
}

impl ConsistentHash {
    /// With a bound of 125 %.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The most calls in flight of an instance, in percent of its share of all by weight, rounded up: 101 to 10,000, default 125. A lower
    /// bound spreads calls more evenly, and moves more of them from the first instance of their key.
    #[must_use]
    pub fn load_max(self, percent: u16) -> Self {
        Self { load_max_percent: percent }
    }
}

impl Policy for ConsistentHash {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        let Some(key) = key else { return PeakEwma.choose(candidates, None, random) };
        let bound = Bound::new(self.load_max_percent, candidates);
        let has_room = |(_, entry): &(usize, &Entry)| bound.has_room(entry);
        let entries = || candidates.entries().enumerate();
        let is_even = candidates.is_even();
        let with_room = rendezvous::highest(key, is_even, entries().filter(has_room));
        // The bounds exceed the sum of all calls, so one has room unless other calls began since they were counted.
        let best = with_room.or_else(|| rendezvous::highest(key, is_even, entries()));
        best.map_or(0, |(index, _)| index)
    }

    fn check(&self) -> Result<(), String> {
        let percent = self.load_max_percent;
        if !(101..=10_000).contains(&percent) {
            let bounds = "it must be 101 to 10000 percent";
            return Err(format!("load_max of ConsistentHash is {percent}: {bounds}"));
        }
        Ok(())
    }
}

/// The most calls of each candidate while one more is picked.
struct Bound {
    /// The allowed calls of all, in percent.
    calls_percent: u128,
    weights: u128,
}

impl Bound {
    fn new(percent: u16, candidates: &Candidates<'_>) -> Self {
        let (mut calls, mut weights) = (1, 0);
        for entry in candidates.entries() {
            calls += u128::from(entry.in_flight());
            weights += u128::from(entry.weight);
        }
        Self { calls_percent: calls * u128::from(percent), weights }
    }

    /// Whether it has fewer calls than the bound, rounded up.
    fn has_room(&self, entry: &Entry) -> bool {
        u128::from(entry.in_flight()) * 100 * self.weights
            < self.calls_percent * u128::from(entry.weight)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};
    use crate::member::Moment;

    const POLICY: ConsistentHash = ConsistentHash { load_max_percent: 125 };

    fn chosen(candidates: &Candidates<'_>, key: u64) -> usize {
        POLICY.choose(candidates, Some(key), &mut draws(1))
    }

    #[test]
    fn bounds_that_bound_nothing_are_refused() {
        for (percent, is_valid) in [(100, false), (101, true), (10_000, true), (10_001, false)] {
            let error = ConsistentHash::new().load_max(percent).check().err();
            assert_eq!(error.is_none(), is_valid, "{error:?}");
            assert!(error.is_none_or(|error| error.contains("must be 101 to 10000")));
        }
    }

    #[test]
    fn a_hot_key_overflows_to_the_next_of_its_order() {
        let tier = tier(&[1; 5]);
        let first = chosen(&all(&tier), 7);
        tier.entries[first].member.stats.enter();
        let second = chosen(&all(&tier), 7);
        let without = (0..5).filter(|it| *it != first as u32).collect::<Vec<_>>();
        let others = Candidates::at(&tier, &without, Moment::default());
        assert_eq!(second, without[chosen(&others, 7)] as usize);
        tier.entries[first].member.stats.leave();
        assert_eq!(chosen(&all(&tier), 7), first);
    }

    proptest! {
        #[test]
        fn no_member_exceeds_its_bound(
            weights in prop::collection::vec(1_u16..6, 1..12), keys in prop::collection::vec(0_u64..4, 1..150),
            percent in 101_u16..300,
        ) {
            let tier = tier(&weights);
            let policy = ConsistentHash::new().load_max(percent);
            let total = weights.iter().map(|&it| u64::from(it)).sum::<u64>();
            for (calls, key) in (1_u64..).zip(keys) {
                let index = policy.choose(&all(&tier), Some(key), &mut draws(1));
                let entry = &tier.entries[index];
                entry.member.stats.enter();
                let bound = (u64::from(percent) * calls * u64::from(entry.weight)).div_ceil(100 * total);
                prop_assert!(u64::from(entry.in_flight()) <= bound, "{} of {calls}", entry.in_flight());
            }
        }

        #[test]
        fn only_the_keys_of_a_member_that_leaves_move(
            weights in prop::collection::vec(1_u16..4, 2..20), gone: prop::sample::Index, keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let tier = tier(&weights);
            let gone = gone.index(weights.len());
            let places: Vec<u32> = (0..weights.len() as u32).filter(|it| *it != gone as u32).collect();
            let without = Candidates::at(&tier, &places, Moment::default());
            for key in keys {
                let before = chosen(&all(&tier), key);
                let after = places[chosen(&without, key)] as usize;
                prop_assert!(before == gone || before == after);
            }
        }
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let weights = [1, 2, 3, 4];
        let tier = tier(&weights);
        let mut counts = [0; 4];
        (0..10_000).for_each(|key| counts[chosen(&all(&tier), key)] += 1);
        assert_shares(&counts, &weights, 300.0);
    }
}
