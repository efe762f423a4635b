//! Measures two implementations alternately in one run and reports their ratio: absolute times on a busy machine vary, the ratio within the same
//! minute varies less. It computes median and extremes only, and asserts nothing.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// The result of all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Median of the first.
    pub first: f64,
    /// Median of the second.
    pub second: f64,
    /// Smallest first / second of one round.
    pub min: f64,
    /// Median first / second of one round.
    pub median: f64,
    /// Largest first / second of one round.
    pub max: f64,
    /// The number of rounds.
    pub rounds: usize,
}

impl Ratio {
    /// Computes the result of alternating measurements: each pair is one round.
    ///
    /// # Panics
    ///
    /// There are none, or one is not a positive number.
    #[track_caller]
    pub fn of(rounds: &[(f64, f64)]) -> Self {
        assert!(
            rounds.iter().all(|(first, second)| *first > 0.0 && *second > 0.0),
            "measurements must be positive numbers: {rounds:?}"
        );
        let sorted = |value: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let ratios = sorted(|(first, second)| first / second);
        let (Some(&min), Some(&max)) = (ratios.first(), ratios.last()) else {
            panic!("no round was measured")
        };
        Self {
            first: median(&sorted(|round| round.0)),
            second: median(&sorted(|round| round.1)),
            min,
            median: median(&ratios),
            max,
            rounds: rounds.len(),
        }
    }
}

/// Measures two closures, in seconds. One round runs both, and every other round the second runs first, so that neither always has the warm
/// cache. One warm-up round is not counted. A short call should be repeated in its closure: below about 10 µs the resolution of the clock
/// dominates.
pub fn interleaved(rounds: usize, mut first: impl FnMut(), mut second: impl FnMut()) -> Ratio {
    let mut measured = Vec::with_capacity(rounds);
    first();
    second();
    for round in 0..rounds {
        measured.push(if round % 2 == 0 {
            let first = timed(&mut first);
            (first, timed(&mut second))
        } else {
            let second = timed(&mut second);
            (timed(&mut first), second)
        });
    }
    Ratio::of(&measured)
}

/// [`interleaved`] for futures.
pub async fn interleaved_async(
    rounds: usize,
    mut first: impl AsyncFnMut(),
    mut second: impl AsyncFnMut(),
) -> Ratio {
    let mut measured = Vec::with_capacity(rounds);
    first().await;
    second().await;
    for round in 0..rounds {
        measured.push(if round % 2 == 0 {
            let first = timed_async(&mut first).await;
            (first, timed_async(&mut second).await)
        } else {
            let second = timed_async(&mut second).await;
            (timed_async(&mut first).await, second)
        });
    }
    Ratio::of(&measured)
}

fn timed(work: &mut impl FnMut()) -> f64 {
    let started = Instant::now();
    work();
    seconds(started.elapsed())
}

async fn timed_async(work: &mut impl AsyncFnMut()) -> f64 {
    let started = Instant::now();
    work().await;
    seconds(started.elapsed())
}

/// Never zero, so that the ratio is defined even if the clock did not advance.
fn seconds(elapsed: Duration) -> f64 {
    elapsed.max(Duration::from_nanos(1)).as_secs_f64()
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, min, median, max, rounds } = self;
        write!(f, "{} to {}: ratio {median:.3} ", short(*first), short(*second))?;
        write!(f, "({min:.3} to {max:.3}), {rounds} rounds")
    }
}

/// About three digits and an SI prefix: `31.2n`, `97.3k`.
fn short(value: f64) -> String {
    let prefixes = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ")];
    let found = prefixes.into_iter().find(|(unit, _)| value >= *unit);
    let (unit, prefix) = found.unwrap_or((1e-9, "n"));
    format!("{:.1}{prefix}", value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_extremes_are_computed_over_the_rounds() {
        let ratio = Ratio::of(&[(1.0, 2.0), (8.0, 2.0), (3.0, 3.0), (6.0, 4.0)]);
        assert_eq!((ratio.min, ratio.median, ratio.max), (0.5, 1.25, 4.0));
        assert_eq!((ratio.first, ratio.second, ratio.rounds), (4.5, 2.5, 4));
    }

    #[test]
    fn both_run_once_per_round_and_once_for_warm_up() {
        let (mut first, mut second) = (0, 0);
        let ratio = interleaved(5, || first += 1, || second += 1);
        assert_eq!((first, second, ratio.rounds), (6, 6, 5));
    }

    #[tokio::test]
    async fn futures_run_as_often() {
        let (mut first, mut second) = (0, 0);
        let ratio = interleaved_async(4, async || first += 1, async || second += 1).await;
        assert_eq!((first, second, ratio.rounds), (5, 5, 4));
    }

    #[test]
    fn a_ratio_prints_as_one_line() {
        let ratio = Ratio::of(&[(0.02, 0.01), (0.06, 0.01)]);
        assert_eq!(ratio.to_string(), "40.0m to 10.0m: ratio 4.000 (2.000 to 6.000), 2 rounds");
        let cases = [(3.12e-8, "31.2n"), (97_300.0, "97.3k"), (1.0, "1.0"), (2.5e-6, "2.5µ")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }
}
