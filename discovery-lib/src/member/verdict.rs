//! The result of a call: the latency that is charged, and the event for the breaker.

use std::time::Duration;

/// The result of a call, as it counts for the member that was called.
///
/// One type for both moments at which something is learned: the head of the response ([`Pick::judge`](crate::Pick::judge)) and its body
/// ([`InFlight::judge`](crate::InFlight::judge)). A head that is good so far is [`Verdict::ANSWERED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The latency that is charged.
    pub latency: Charge,
    /// The event that counts for ejection.
    pub breaker: BreakerEvent,
}

/// The latency that is charged. Elapsed time counts from the pick to the first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Charge {
    /// The elapsed time.
    Measured,
    /// The elapsed time, but at least this: otherwise a fast failure would count as a quick answer.
    AtLeast(Duration),
    /// The elapsed time if it exceeds the estimate, else nothing: the caller did not wait for the end.
    IfAboveEstimate,
    /// None: the call says nothing about the latency of the instance.
    Nothing,
}

/// The result of a call, as it counts for ejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerEvent {
    /// The call succeeded.
    Success,
    /// The call failed. Consecutive failures, or a low success rate, eject the instance.
    Failure,
    /// The call did not reach the instance (refused, unreachable, not connected in time), or reached another service. One drops a reserve.
    Refused,
    /// A server error such as 500: counts for the success rate only.
    ServerError,
    /// Good so far: the event follows with the body. Without another verdict it is a success when the call ends.
    Pending,
    /// No information about the instance.
    None,
}

impl Verdict {
    /// The minimum latency that is charged for a failure: 5 s.
    pub const FAILURE_CHARGE: Duration = Duration::from_secs(5);

    /// The call succeeded.
    pub const SUCCESS: Self = Self { latency: Charge::Measured, breaker: BreakerEvent::Success };

    /// The head of a good response has arrived; its body follows.
    pub const ANSWERED: Self = Self { breaker: BreakerEvent::Pending, ..Self::SUCCESS };

    /// The call failed.
    pub const FAILURE: Self =
        Self { latency: Charge::AtLeast(Self::FAILURE_CHARGE), breaker: BreakerEvent::Failure };

    /// The call did not reach the instance.
    pub const REFUSED: Self = Self { breaker: BreakerEvent::Refused, ..Self::FAILURE };

    /// The caller abandoned the call before its result was known.
    pub const ABANDONED: Self =
        Self { latency: Charge::IfAboveEstimate, breaker: BreakerEvent::None };

    /// The call says nothing about the instance.
    pub const NOTHING: Self = Self { latency: Charge::Nothing, breaker: BreakerEvent::None };
}
