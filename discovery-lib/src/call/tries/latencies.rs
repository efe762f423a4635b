//! The latencies of one service, from which the delay of a hedge is taken.
//!
//! A histogram with buckets of about 9 %, over the last 10 to 20 s: two halves, of which the older is dropped every 10 s.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Tries;

/// How long one half of the histogram is filled.
const HALF: Duration = Duration::from_secs(10);
/// Fewer measured tries than this say nothing about the tail.
const SAMPLES_MIN: u32 = 20;

/// Buckets per doubling of the latency.
const PER_OCTAVE: u32 = 8;
/// The last bucket begins at 2^27 µs, which is 134 s.
const OCTAVES: u32 = 27;
const BUCKETS: usize = (OCTAVES * PER_OCTAVE + 1) as usize;

/// The latencies of one service in the last 10 to 20 s, which all its callers share. Needed only for [`Hedge::P95`](super::Hedge::P95).
#[derive(Debug)]
pub struct Latencies(Mutex<Histogram>);

impl Latencies {
    /// Without any latency.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Histogram {
            since: now,
            newer: Counts::default(),
            older: Counts::default(),
        }))
    }

    /// Records the tries of a call that has its response: the one that brought it, and the one that is cancelled. The latter would have
    /// taken at least as long, so it counts too; otherwise the tail would look shorter with every hedge.
    pub fn record(&self, tries: &Tries, now: Instant) {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for since in tries.outstanding_since() {
            histogram.record(now.saturating_duration_since(since), now);
        }
    }

    /// The 95th percentile, rounded up to a bucket. None before 20 tries were measured.
    #[must_use]
    pub fn p95(&self, now: Instant) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).p95(now)
    }
}

#[derive(Debug)]
struct Histogram {
    /// The start of the newer half.
    since: Instant,
    newer: Counts,
    older: Counts,
}

#[derive(Debug)]
struct Counts {
    total: u32,
    buckets: [u32; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { total: 0, buckets: [0; BUCKETS] }
    }
}

impl Histogram {
    fn record(&mut self, latency: Duration, now: Instant) {
        self.advance(now);
        let count = &mut self.newer.buckets[bucket(latency)];
        // Neither overflows within its ten seconds.
        *count = count.saturating_add(1);
        self.newer.total = self.newer.total.saturating_add(1);
    }

    fn p95(&mut self, now: Instant) -> Option<Duration> {
        self.advance(now);
        let total = self.newer.total.saturating_add(self.older.total);
        if total < SAMPLES_MIN {
            return None;
        }
        let mut above = total / 20;
        for bucket in (0..BUCKETS).rev() {
            let count = self.newer.buckets[bucket].saturating_add(self.older.buckets[bucket]);
            if count > above {
                return Some(end_of(bucket));
            }
            above -= count;
        }
        None
    }

    /// Drops what is too old. An earlier `now` changes nothing.
    fn advance(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age < HALF {
            return;
        }
        let newer = mem::take(&mut self.newer);
        self.older = if age < 2 * HALF { newer } else { Counts::default() };
        self.since = now;
    }
}

/// The bucket of a latency: the octave of its microseconds, and the three bits after the first.
fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(u64::from(PER_OCTAVE));
    let octave = micros.ilog2();
    let within = (micros >> (octave - PER_OCTAVE.ilog2())) as u32 % PER_OCTAVE;
    ((octave * PER_OCTAVE + within) as usize).min(BUCKETS - 1)
}

/// The latency at which a bucket ends.
fn end_of(bucket: usize) -> Duration {
    let (octave, within) = (bucket as u32 / PER_OCTAVE, bucket as u32 % PER_OCTAVE);
    let eighth = 1_u64 << octave.saturating_sub(PER_OCTAVE.ilog2());
    Duration::from_micros(u64::from(PER_OCTAVE + within + 1) * eighth)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(now: Instant) -> Histogram {
        Histogram { since: now, newer: Counts::default(), older: Counts::default() }
    }

    #[test]
    fn few_or_old_latencies_have_no_percentile() {
        let start = Instant::now();
        let ms = Duration::from_millis(8);
        for (count, later, is_known) in
            [(0, 0, false), (19, 0, false), (20, 0, true), (20, 19, true), (20, 21, false)]
        {
            let mut histogram = histogram(start);
            (0..count).for_each(|_| histogram.record(ms, start));
            // A look in the middle moves the halves on.
            histogram.p95(start + HALF);
            let p95 = histogram.p95(start + Duration::from_secs(later));
            assert_eq!(p95.is_some(), is_known, "{count} latencies after {later} s");
        }
    }

    proptest! {
        /// At least the exact 95th percentile, and at most an eighth more (8 µs at least).
        #[test]
        fn the_percentile_is_exact_to_a_bucket(mut micros in prop::collection::vec(0u64..10_000_000, 20..200)) {
            let now = Instant::now();
            let mut histogram = histogram(now);
            micros.iter().for_each(|it| histogram.record(Duration::from_micros(*it), now));
            micros.sort_unstable();
            let exact = micros[micros.len() - 1 - micros.len() / 20];
            let p95 = histogram.p95(now).unwrap().as_micros() as u64;
            prop_assert!(exact <= p95 && p95 <= (exact + exact / 8 + 1).max(9), "{p95} for {exact}");
        }
    }
}
