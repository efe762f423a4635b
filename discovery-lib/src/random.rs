//! A source of random numbers that is passed in from outside, so that a seed reproduces a run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of random numbers (SplitMix64). Not for secrets.
///
/// Clones share one sequence. Each number is one atomic addition: no lock, no allocation. The sequence is reproducible as long as its users
/// draw in the same order; a part of a program that runs beside others takes a sequence of its own with [`Random::fork`].
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
///
/// ```
/// # use discovery::Random;
/// let (one, other) = (Random::seeded(7), Random::seeded(7));
/// assert_eq!(one.u64(), other.u64());
/// assert!((0.0..1.0).contains(&one.f64()));
/// ```
#[derive(Debug, Clone)]
pub struct Random(Arc<AtomicU64>);

impl Random {
    /// A source that differs in each process and with each call.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self::seeded(fastrand::u64(..))
    }

    /// A source that yields the same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A new source, seeded with the next number of this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::seeded(self.u64())
    }

    /// The next number, uniform over all of `u64`.
    #[must_use]
    pub fn u64(&self) -> u64 {
        mix(self.0.fetch_add(INCREMENT, Ordering::Relaxed).wrapping_add(INCREMENT))
    }

    /// The next number, uniform in 0..1 (1 excluded), in steps of 2^-53.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into an f64")]
    pub fn f64(&self) -> f64 {
        (self.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_sequence_and_that_of_its_forks() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            let fork = random.fork();
            [random.u64(), fork.u64(), random.clone().u64(), random.u64()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut numbers = draw(1).to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4, "clones continue the sequence");
    }

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        // The first outputs for seed 1234567 of the reference implementation.
        let random = Random::seeded(1_234_567);
        assert_eq!(random.u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn fractions_are_uniform_in_zero_to_one() {
        let random = Random::seeded(1);
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            let fraction = random.f64();
            assert!((0.0..1.0).contains(&fraction));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
            let tenth = (fraction * 10.0) as usize;
            counts[tenth] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
