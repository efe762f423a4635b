//! Random choices: uniform, and by weight.

use super::{
    candidates::Candidates,
    policy::{Policy, RandomDraws},
};

/// Picks any candidate with the same probability, regardless of weight, latency and load.
///
/// For weights in Consul that are meant for other callers. No state and no shared writes, so it is the cheapest policy; with few requests the
/// shares vary more than with [`RoundRobin`](crate::RoundRobin).
///
/// ```
/// use discovery::{PoolOptions, UniformRandom};
///
/// let options = PoolOptions::new().policy(UniformRandom);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct UniformRandom;

impl Policy for UniformRandom {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        random.index(candidates.len())
    }
}

/// Picks a candidate with a probability in proportion to its weight, regardless of latency and load.
///
/// For a canary: one instance of the new version with a weight of 1 beside some of weight 50. The weights are those in Consul, per status, and
/// change while it runs. In constant time while no instance is ejected, from Walker's alias table, which is built once per change of the pool.
///
/// ```
/// use discovery::{PoolOptions, WeightedRandom};
///
/// let options = PoolOptions::new().policy(WeightedRandom);
/// ```
///
/// Source: Walker, "An Efficient Method for Generating Discrete Random Variables with General Distributions" (1977).
#[derive(Debug, Clone, Copy, Default)]
pub struct WeightedRandom;

impl Policy for WeightedRandom {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        candidates.by_weight(random)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    /// Six standard deviations of a share of 10 000 draws are at most this.
    const NOISE: f64 = 300.0;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn shares_are_equal_or_by_weight(weights in prop::collection::vec(1_u16..20, 1..12), seed: u64) {
            let tier = tier(&weights);
            assert_shares(&counts(&WeightedRandom, &all(&tier), 10_000, seed), &weights, NOISE);
            let even = vec![1; weights.len()];
            assert_shares(&counts(&UniformRandom, &all(&tier), 10_000, seed), &even, NOISE);
        }
    }
}
