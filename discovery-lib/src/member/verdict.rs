//! What a caller found out about a member, in the two currencies that count: latency, and good or bad.

use std::time::Duration;

/// What an outcome says about the member that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What is charged as its latency.
    pub latency: Charge,
    /// What counts for its ejection.
    pub breaker: BreakerEvent,
}

/// How much latency an outcome is charged as. What has elapsed counts from the pick to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// What has elapsed.
    Measured,
    /// What has elapsed, but at least so much: else failing fast would look quick.
    AtLeast(Duration),
    /// What has elapsed where that is more than was expected, else nothing: the caller didn't wait for the end.
    IfAboveEstimate,
}

/// What an outcome counts as for ejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerEvent {
    /// It answered well.
    Success,
    /// It failed: enough of them in a row, or too many of all, and it is ejected.
    Failure,
    /// A failure that says that nobody is there (refused, unreachable, not connected in time), or another service: a reserve is dropped at the first.
    Refused,
    /// It answered that it failed (500 and its like): counts in the success rate only.
    ServerError,
    /// Says nothing about the member.
    None,
}

impl Verdict {
    /// The least that a failure is charged as latency: 5 s.
    pub const FAILURE_CHARGE: Duration = Duration::from_secs(5);

    /// It answered well, just now.
    pub const SUCCESS: Self = Self { latency: Charge::Measured, breaker: BreakerEvent::Success };

    /// It failed.
    pub const FAILURE: Self =
        Self { latency: Charge::AtLeast(Self::FAILURE_CHARGE), breaker: BreakerEvent::Failure };

    /// Nobody was there.
    pub const REFUSED: Self = Self { breaker: BreakerEvent::Refused, ..Self::FAILURE };

    /// The caller gave up before it could tell.
    pub const ABANDONED: Self =
        Self { latency: Charge::IfAboveEstimate, breaker: BreakerEvent::None };
}
