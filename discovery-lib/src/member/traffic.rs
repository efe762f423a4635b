//! The calls of a member: how many are in flight now, and how many of the last seconds had a result, good or bad.
//!
//! The success rate is made of exact counts in buckets of one second, not of a moving average, which depends on the rate of calls and hides a
//! burst. Calls that end while a second begins may count for the one before or after it.
//!
//! Nearly all calls succeed, so their end is one addition: one word has the calls in flight and the number of results so far. The first result
//! of a second notes that number; the difference to the note of the next second is the count of the bucket.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

use super::{BreakerEvent, breaker::BreakerOptions, moment::Moment};

/// The longest window, in buckets of one second.
const BUCKETS: usize = 60;
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(BUCKETS as u64);

const COUNT_BITS: u32 = 16;
/// Further results of the same second are not counted.
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
/// The number of a second has 32 bits, 136 years.
const SECOND_MASK: u64 = (1 << 32) - 1;

/// The upper half of the word of [`Traffic::calls`]: one result.
const RESULT: u64 = 1 << 32;
/// The lower half: one call in flight.
const CALL: u64 = 1;

/// The results of one second that is over. Bad ones are counted at once, all of them at its end.
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

    /// The bucket for this second: this one, or a new one in its place.
    fn of(self, second: u64) -> Self {
        if self.second == second { self } else { Self { second, bad: 0, all: 0 } }
    }
}

/// The present second, and the number of results at its beginning.
#[derive(Debug, Clone, Copy)]
struct Head {
    second: u64,
    results: u32,
}

impl Head {
    fn pack(self) -> u64 {
        (self.second << 32) | u64::from(self.results)
    }

    fn unpack(word: u64) -> Self {
        Self { second: word >> 32, results: word as u32 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Good,
    Bad,
}

impl Sample {
    /// The sample of a result; none if it says nothing.
    pub(crate) fn of(event: BreakerEvent) -> Option<Self> {
        match event {
            BreakerEvent::Success => Some(Self::Good),
            BreakerEvent::Failure | BreakerEvent::Refused | BreakerEvent::ServerError => {
                Some(Self::Bad)
            }
            BreakerEvent::Pending | BreakerEvent::None => None,
        }
    }
}

/// The calls of one member, in flight and in the last minute. Its first two words are all that a good call writes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Traffic {
    calls: AtomicU64,
    head: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    /// The results that [`Traffic::take_results`] has returned so far.
    taken: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            head: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            taken: AtomicU64::new(0),
        }
    }
}

impl Traffic {
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.calls.load(Relaxed) as u32
    }

    #[inline]
    pub(crate) fn enter(&self) {
        self.calls.fetch_add(CALL, Relaxed);
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.calls.fetch_sub(CALL, Relaxed);
    }

    pub(crate) fn record(&self, sample: Sample, now: Moment) {
        self.begin(sample, now);
        self.calls.fetch_add(RESULT, Relaxed);
    }

    /// As [`Traffic::record`] and [`Traffic::leave`], in one addition.
    #[inline]
    pub(crate) fn record_and_leave(&self, sample: Sample, now: Moment) {
        self.begin(sample, now);
        self.calls.fetch_add(RESULT - CALL, Relaxed);
    }

    /// The results since the last call of this. Of several callers at once, one gets each result. Exact if it is called once in 2^32 results.
    pub(crate) fn take_results(&self) -> u64 {
        let results = (self.calls.load(Relaxed) >> 32) as u32;
        let known = self.taken.load(Relaxed);
        let new = results.wrapping_sub(known as u32);
        // A caller that read fewer results than another one has taken sees a difference that is about 2^32.
        if new > u32::MAX / 2 {
            return 0;
        }
        let all = known + u64::from(new);
        all.saturating_sub(self.taken.fetch_max(all, Relaxed))
    }

    /// Whether the success rate since then, within the window, is too low.
    pub(crate) fn is_low(&self, options: &BreakerOptions, since: Moment, now: Moment) -> bool {
        let span = now.since(since).as_secs().min(options.window.as_secs() - 1);
        let counts = |at: u64| second(now).wrapping_sub(at) & SECOND_MASK <= span;
        // Read before the buckets, into which the results of a second are put before it is replaced.
        let head = Head::unpack(self.head.load(Acquire));
        let mut all = if counts(head.second) { self.results_since(head) } else { 0 };
        let mut bad = 0;
        for bucket in self.buckets.iter().map(|word| Bucket::unpack(word.load(Relaxed))) {
            if counts(bucket.second) {
                bad += bucket.bad;
                all += if bucket.second == head.second { 0 } else { bucket.all };
            }
        }
        let good = u64::from(all.saturating_sub(bad));
        all >= options.samples_min
            && good * 100 < u64::from(all) * u64::from(options.good_min_percent)
    }

    /// Begins the second of this result, if it is its first.
    #[inline]
    fn begin(&self, sample: Sample, now: Moment) {
        let second = second(now);
        if Head::unpack(self.head.load(Relaxed)).second != second {
            self.turn(second);
        }
        if sample == Sample::Bad {
            self.update(second, |bucket| Bucket { bad: (bucket.bad + 1).min(COUNT_MAX), ..bucket });
        }
    }

    #[cold]
    fn turn(&self, second: u64) {
        let mut word = self.head.load(Relaxed);
        loop {
            let head = Head::unpack(word);
            // Results are recorded in any order: a late one counts for the present second.
            let ahead = second.wrapping_sub(head.second) & SECOND_MASK;
            if ahead == 0 || ahead > SECOND_MASK / 2 {
                return;
            }
            let all = self.results_since(head).min(COUNT_MAX);
            self.update(head.second, |bucket| Bucket { all: bucket.all.max(all), ..bucket });
            let results = (self.calls.load(Relaxed) >> 32) as u32;
            let next = Head { second, results }.pack();
            match self.head.compare_exchange_weak(word, next, Release, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    fn results_since(&self, head: Head) -> u32 {
        ((self.calls.load(Relaxed) >> 32) as u32).wrapping_sub(head.results)
    }

    fn update(&self, second: u64, step: impl Fn(Bucket) -> Bucket) {
        let bucket = &self.buckets[second as usize % BUCKETS];
        let step = |word| Some(step(Bucket::unpack(word).of(second)).pack());
        // The step always has a result, so that this can't fail.
        bucket.fetch_update(Relaxed, Relaxed, step).ok();
    }
}

fn second(now: Moment) -> u64 {
    (now.as_micros() / 1_000_000) & SECOND_MASK
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000 + 5)
    }

    fn traffic(outcomes: &[(u64, Sample, u32)]) -> Traffic {
        let traffic = Traffic::default();
        for &(second, sample, times) in outcomes {
            (0..times).for_each(|_| traffic.record(sample, at(second)));
        }
        traffic
    }

    #[test]
    fn a_rate_needs_a_sample_and_fewer_than_half_good() {
        for (good, bad, low) in
            [(0, 19, false), (0, 20, true), (9, 11, true), (10, 10, false), (90, 10, false)]
        {
            let traffic = traffic(&[(7, Sample::Good, good), (7, Sample::Bad, bad)]);
            assert_eq!(
                traffic.is_low(&BreakerOptions::default(), at(0), at(7)),
                low,
                "{good} good, {bad} bad"
            );
        }
    }

    #[test]
    fn samples_before_the_window_or_the_readmission_do_not_count() {
        for later in [&[][..], &[(21, Sample::Good, 1)]] {
            let traffic = traffic(&[&[(20, Sample::Bad, 30)], later].concat());
            for (since, now, low) in
                [(0, 20, true), (0, 29, true), (0, 30, false), (20, 21, true), (21, 21, false)]
            {
                assert_eq!(
                    traffic.is_low(&BreakerOptions::default(), at(since), at(now)),
                    low,
                    "since {since}, at {now}, and {later:?}"
                );
            }
        }
    }

    #[test]
    fn old_samples_do_not_count_again_for_years() {
        let traffic = traffic(&[(20, Sample::Bad, 30)]);
        for bits in 5..32 {
            let now = 20 + (1 << bits);
            assert!(!traffic.is_low(&BreakerOptions::default(), at(0), at(now)), "{now} s");
        }
    }

    #[test]
    fn a_busy_second_is_counted_up_to_a_limit() {
        let many = COUNT_MAX + 10;
        let traffic = traffic(&[(3, Sample::Good, many), (4, Sample::Bad, many)]);
        let counted = |second: usize| Bucket::unpack(traffic.buckets[second].load(Relaxed));
        assert_eq!(counted(3), Bucket { second: 3, bad: 0, all: COUNT_MAX });
        assert_eq!(counted(4), Bucket { second: 4, bad: COUNT_MAX, all: 0 });
        assert!(!traffic.is_low(&BreakerOptions::default(), at(0), at(4)), "half of them");
        assert!(traffic.is_low(&BreakerOptions::default(), at(4), at(4)));
    }

    #[test]
    fn a_late_result_counts_for_the_present_second() {
        let traffic =
            traffic(&[(9, Sample::Good, 10), (8, Sample::Good, 10), (9, Sample::Bad, 21)]);
        assert!(!traffic.is_low(
            &BreakerOptions { samples_min: 42, ..BreakerOptions::default() },
            at(0),
            at(9)
        ));
        assert!(traffic.is_low(
            &BreakerOptions { samples_min: 41, ..BreakerOptions::default() },
            at(9),
            at(9)
        ));
    }

    #[test]
    fn a_result_that_ends_a_call_does_both() {
        let traffic = Traffic::default();
        (0..3).for_each(|_| traffic.enter());
        traffic.record_and_leave(Sample::Good, at(1));
        assert_eq!(traffic.in_flight(), 2);
        traffic.record(Sample::Good, at(1));
        traffic.leave();
        assert_eq!(traffic.in_flight(), 1);
        traffic.leave();
        assert_eq!((traffic.in_flight(), traffic.calls.load(Relaxed) >> 32), (0, 2));
    }

    #[test]
    fn of_several_readers_one_takes_each_result_also_when_the_number_wraps() {
        const RESULTS: u64 = 200_000;
        for start in [0, u64::from(u32::MAX) - RESULTS / 2] {
            let traffic = Traffic::default();
            traffic.calls.store(start << 32, Relaxed);
            traffic.taken.store(start, Relaxed);
            let is_over = AtomicBool::new(false);
            let read = || {
                let mut taken = 0;
                while !is_over.load(Relaxed) {
                    taken += traffic.take_results();
                }
                taken
            };
            let taken = thread::scope(|scope| {
                let readers = [(); 3].map(|()| scope.spawn(read));
                (0..RESULTS).for_each(|_| traffic.record(Sample::Good, at(1)));
                is_over.store(true, Relaxed);
                readers.map(|reader| reader.join().unwrap()).iter().sum::<u64>()
            });
            assert_eq!(taken + traffic.take_results(), RESULTS, "from {start}");
        }
    }

    proptest! {
        #[test]
        fn counts_are_exact(mut seconds in prop::collection::vec((0_u64..40, any::<bool>()), 0..300)) {
            seconds.sort_unstable();
            let traffic = Traffic::default();
            for &(second, is_bad) in &seconds {
                traffic.record(if is_bad { Sample::Bad } else { Sample::Good }, at(second));
            }
            let now = seconds.last().map_or(0, |last| last.0);
            let counted = seconds.iter().filter(|(second, _)| *second + 10 > now);
            let all = counted.clone().count();
            let good = counted.filter(|(_, is_bad)| !is_bad).count();
            prop_assert_eq!(traffic.is_low(&BreakerOptions::default(), at(0), at(now)), all >= 20 && good * 2 < all);
        }
    }
}
