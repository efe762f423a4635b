//! The success rate over the last seconds: exact counts in buckets of one second.
//!
//! Counts rather than a moving average, because an average depends on the rate of calls and hides a burst.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{breaker::BreakerOptions, moment::Moment};

/// The longest window, in buckets of one second.
const BUCKETS: usize = 60;
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(BUCKETS as u64);

const COUNT_BITS: u32 = 16;
/// Further samples of the same second are not counted.
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
/// The number of the second has the other 32 bits, 136 years.
const SECOND_MASK: u64 = (1 << 32) - 1;

/// The samples of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    second: u64,
    bad: u32,
    all: u32,
}

impl Bucket {
    fn pack(self) -> u64 {
        (self.second << (2 * COUNT_BITS))
            | (u64::from(self.bad) << COUNT_BITS)
            | u64::from(self.all)
    }

    fn unpack(word: u64) -> Self {
        let count = |word| (word & u64::from(COUNT_MAX)) as u32;
        Self { second: word >> (2 * COUNT_BITS), bad: count(word >> COUNT_BITS), all: count(word) }
    }

    /// With one more sample; a new second starts at zero.
    fn after(self, sample: Sample, second: u64) -> Self {
        let fresh = if self.second == second { self } else { Self { second, bad: 0, all: 0 } };
        if fresh.all == COUNT_MAX {
            return fresh;
        }
        Self { all: fresh.all + 1, bad: fresh.bad + u32::from(sample == Sample::Bad), ..fresh }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Good,
    Bad,
}

/// The samples of one member in the last minute.
#[derive(Debug)]
pub(crate) struct Window([AtomicU64; BUCKETS]);

impl Default for Window {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Window {
    pub(crate) fn record(&self, sample: Sample, now: Moment) {
        let second = second(now);
        let bucket = &self.0[second as usize % BUCKETS];
        let step = |word| Some(Bucket::unpack(word).after(sample, second).pack());
        // The step always has a result, so that this can't fail.
        bucket.fetch_update(Relaxed, Relaxed, step).ok();
    }

    /// Whether the success rate since then, within the window, is too low.
    pub(crate) fn is_low(&self, options: &BreakerOptions, since: Moment, now: Moment) -> bool {
        let span = now.since(since).as_secs().min(options.window.as_secs() - 1);
        let (mut bad, mut all) = (0, 0);
        for bucket in self.0.iter().map(|word| Bucket::unpack(word.load(Relaxed))) {
            let age = second(now).wrapping_sub(bucket.second) & SECOND_MASK;
            if age <= span {
                bad += bucket.bad;
                all += bucket.all;
            }
        }
        all >= options.samples_min && (all - bad) * 100 < all * u32::from(options.good_min_percent)
    }
}

fn second(now: Moment) -> u64 {
    (now.as_micros() / 1_000_000) & SECOND_MASK
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000 + 5)
    }

    fn window(outcomes: &[(u64, Sample, u32)]) -> Window {
        let window = Window::default();
        for &(second, sample, times) in outcomes {
            (0..times).for_each(|_| window.record(sample, at(second)));
        }
        window
    }

    #[test]
    fn a_rate_needs_a_sample_and_fewer_than_half_good() {
        for (good, bad, low) in
            [(0, 19, false), (0, 20, true), (9, 11, true), (10, 10, false), (90, 10, false)]
        {
            let window = window(&[(7, Sample::Good, good), (7, Sample::Bad, bad)]);
            assert_eq!(
                window.is_low(&BreakerOptions::default(), at(0), at(7)),
                low,
                "{good} good, {bad} bad"
            );
        }
    }

    #[test]
    fn samples_before_the_window_or_the_readmission_do_not_count() {
        let window = window(&[(20, Sample::Bad, 30)]);
        for (since, now, low) in
            [(0, 20, true), (0, 29, true), (0, 30, false), (20, 21, true), (21, 21, false)]
        {
            assert_eq!(
                window.is_low(&BreakerOptions::default(), at(since), at(now)),
                low,
                "since {since}, at {now}"
            );
        }
    }

    #[test]
    fn old_samples_do_not_count_again_for_years() {
        let window = window(&[(20, Sample::Bad, 30)]);
        for bits in 5..32 {
            let now = 20 + (1 << bits);
            assert!(!window.is_low(&BreakerOptions::default(), at(0), at(now)), "{now} s");
        }
    }

    #[test]
    fn a_saturated_second_keeps_its_rate() {
        let full = Bucket { second: 3, bad: COUNT_MAX / 2, all: COUNT_MAX };
        assert_eq!(full.after(Sample::Bad, 3), full);
        assert_eq!(full.after(Sample::Bad, 4), Bucket { second: 4, bad: 1, all: 1 });
    }

    proptest! {
        #[test]
        fn counts_are_exact(mut seconds in prop::collection::vec((0_u64..40, any::<bool>()), 0..300)) {
            seconds.sort_unstable();
            let window = Window::default();
            for &(second, is_bad) in &seconds {
                window.record(if is_bad { Sample::Bad } else { Sample::Good }, at(second));
            }
            let now = seconds.last().map_or(0, |last| last.0);
            let counted = seconds.iter().filter(|(second, _)| *second + 10 > now);
            let all = counted.clone().count();
            let good = counted.filter(|(_, is_bad)| !is_bad).count();
            prop_assert_eq!(window.is_low(&BreakerOptions::default(), at(0), at(now)), all >= 20 && good * 2 < all);
        }
    }
}
