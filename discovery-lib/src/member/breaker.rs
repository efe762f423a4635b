//! The circuit breaker of a member: when it is ejected, and how it is readmitted. A pure state machine in one word.
//!
//! ```text
//! Healthy --failures in a row, or a low success rate--> Ejected --ejection over, a pick probes it--> Probing
//! Healthy <-------------- the probe succeeds ------------------------------------------------------- Probing
//!                      probe failed: ejected for longer; abandoned: briefly ------> Ejected
//! ```
//!
//! Not here: the limit of ejected members (`limit`), and the definition of a failure (the caller that judges).

use std::time::Duration;

use super::{BreakerEvent, EjectionCause, moment::Moment};

/// The largest number of consecutive failures that fits the word.
pub(crate) const FAILURES_LIMIT: u8 = 63;

/// When a member is ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerOptions {
    /// Consecutive failures that eject. At 200 requests per second on two members a hung one has five after its first deadline.
    pub(crate) failures_max: u8,
    /// The first ejection; each further one is twice as long. At least a second, so that a sample is not counted again after it.
    pub(crate) ejected_min: Duration,
    /// The longest ejection, before jitter of up to a half more.
    pub(crate) ejected_max: Duration,
    /// The success rate is low below this percentage: one failing path among many must not eject an instance.
    pub(crate) good_min_percent: u8,
    /// The success rate is ignored for fewer samples.
    pub(crate) samples_min: u32,
    /// The window of the success rate, in whole seconds.
    pub(crate) window: Duration,
    /// After an ejection, only repeatable calls probe for this time. Then any call does: otherwise a service that gets only POST requests
    /// would never readmit a member.
    pub(crate) repeatable_only: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures_max: 5,
            ejected_min: Duration::from_secs(1),
            ejected_max: Duration::from_secs(60),
            good_min_percent: 50,
            samples_min: 20,
            window: Duration::from_secs(10),
            repeatable_only: Duration::from_secs(60),
        }
    }
}

/// One earlier ejection is discounted per this time in rotation: a member that fails again soon is ejected for longer.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);

/// A probe without a result blocks further probes for this time.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// After a probe without information (abandoned, or answered with 429).
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// The kind of [`Breaker::Healthy`] in the word.
const HEALTHY: u64 = 1;

/// The state of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Not judged: a reserve, which its first refusal drops, or a member that has left the pool.
    Off,
    /// In rotation since then, with consecutive failures and earlier ejections.
    Healthy { failures: u8, ejections: u8, since: Moment },
    /// Ejected.
    Ejected { ejections: u8, until: Moment },
    /// Ejected, with one probe in progress until then.
    Probing { ejections: u8, until: Moment },
}

/// Whether a pick may choose a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    In,
    /// Only if there is no other.
    Out,
    /// As `Out`, but one repeatable call may probe it.
    Due,
    /// As `Due`, for a long time: one call of any kind may probe it.
    Overdue,
}

impl Breaker {
    pub(crate) const fn new(since: Moment) -> Self {
        Self::Healthy { failures: 0, ejections: 0, since }
    }

    /// Whether a success in rotation changes nothing of this word: healthy, without failures in a row.
    pub(crate) const fn is_spotless(word: u64) -> bool {
        word >> 56 == HEALTHY << 6
    }

    pub(crate) const fn is_out(self) -> bool {
        matches!(self, Self::Ejected { .. } | Self::Probing { .. })
    }

    pub(crate) fn admission(self, options: &BreakerOptions, now: Moment) -> Admission {
        match self {
            Self::Off | Self::Healthy { .. } => Admission::In,
            Self::Ejected { until, .. } | Self::Probing { until, .. } => {
                if now < until {
                    Admission::Out
                } else if now < until.after(options.repeatable_only) {
                    Admission::Due
                } else {
                    Admission::Overdue
                }
            }
        }
    }

    /// The state with a probe in progress; None if there is one already, or it is too early.
    pub(crate) fn probed(self, now: Moment) -> Option<Self> {
        match self {
            Self::Ejected { ejections, until } | Self::Probing { ejections, until }
                if until <= now =>
            {
                Some(Self::Probing { ejections, until: now.after(PROBE_MAX) })
            }
            _ => None,
        }
    }

    /// The state after the result of a pick that was made in rotation. `is_low`: whether the success rate since then is too low. `draw`: 0 to 1.
    pub(crate) fn on_event(
        self,
        signal: BreakerEvent,
        options: &BreakerOptions,
        is_low: impl FnOnce(Moment) -> bool,
        now: Moment,
        draw: impl FnOnce() -> f32,
    ) -> Self {
        // Results of calls from before the ejection have no effect.
        let Self::Healthy { failures, ejections, since } = self else { return self };
        let failures = match signal {
            BreakerEvent::Pending | BreakerEvent::None => return self,
            BreakerEvent::Success => return Self::Healthy { failures: 0, ejections, since },
            BreakerEvent::ServerError => failures,
            BreakerEvent::Failure | BreakerEvent::Refused => failures.saturating_add(1),
        };
        if failures < options.failures_max && !is_low(since) {
            return Self::Healthy { failures, ejections, since };
        }
        let forgiven = now.since(since).as_secs() / FORGIVEN_AFTER.as_secs();
        let earlier = ejections.saturating_sub(u8::try_from(forgiven).unwrap_or(u8::MAX));
        Self::ejected(earlier, options, now, draw())
    }

    /// Why this event ejects it, if it does.
    pub(crate) fn cause(self, signal: BreakerEvent, options: &BreakerOptions) -> EjectionCause {
        let counts = matches!(signal, BreakerEvent::Failure | BreakerEvent::Refused);
        match self {
            Self::Healthy { failures, .. } if counts && failures + 1 >= options.failures_max => {
                let is_unreached = signal == BreakerEvent::Refused;
                EjectionCause::FailuresInARow { count: failures + 1, is_unreached }
            }
            _ => EjectionCause::LowSuccessRate { min_percent: options.good_min_percent },
        }
    }

    /// The state after the result of a pick that was made while it was ejected: a probe, or a pick without an alternative.
    pub(crate) fn on_event_out(
        self,
        signal: BreakerEvent,
        options: &BreakerOptions,
        now: Moment,
        draw: impl FnOnce() -> f32,
    ) -> Self {
        match (self, signal) {
            (Self::Off | Self::Healthy { .. }, _) | (_, BreakerEvent::Pending) => self,
            (
                Self::Ejected { ejections, .. } | Self::Probing { ejections, .. },
                BreakerEvent::Success,
            ) => Self::Healthy { failures: 0, ejections, since: now },
            // Only a probe extends the ejection.
            (Self::Ejected { .. }, _) => self,
            (Self::Probing { ejections, .. }, BreakerEvent::None) => {
                Self::Ejected { ejections, until: now.after(PROBE_AGAIN) }
            }
            (Self::Probing { ejections, .. }, _) => Self::ejected(ejections, options, now, draw()),
        }
    }

    /// The state after a readmission by the pool, because too many are ejected.
    pub(crate) fn readmitted(self, now: Moment) -> Self {
        match self {
            Self::Ejected { ejections, .. } | Self::Probing { ejections, .. } => {
                Self::Healthy { failures: 0, ejections, since: now }
            }
            Self::Off | Self::Healthy { .. } => self,
        }
    }

    fn ejected(earlier: u8, options: &BreakerOptions, now: Moment, draw: f32) -> Self {
        let full =
            options.ejected_min.saturating_mul(1 << earlier.min(16)).min(options.ejected_max);
        let until = now.after(full.mul_f32(1.0 + draw.clamp(0.0, 1.0) / 2.0));
        Self::Ejected { ejections: earlier.saturating_add(1), until }
    }
}

/// Two bits of kind, 6 of failures, 8 of ejections, 48 of milliseconds (9000 years).
impl Breaker {
    pub(crate) fn pack(self) -> u64 {
        let (kind, failures, ejections, at) = match self {
            Self::Off => (0, 0, 0, Moment::default()),
            Self::Healthy { failures, ejections, since } => (HEALTHY, failures, ejections, since),
            Self::Ejected { ejections, until } => (2, 0, ejections, until),
            Self::Probing { ejections, until } => (3, 0, ejections, until),
        };
        let counts = (u64::from(failures.min(63)) << 8) | u64::from(ejections);
        (kind << 62) | (counts << 48) | (at.as_micros() / 1000)
    }

    pub(crate) fn unpack(word: u64) -> Self {
        let at = Moment::from_micros((word & ((1 << 48) - 1)) * 1000);
        let (failures, ejections) = ((word >> 56) as u8 & 63, (word >> 48) as u8);
        match word >> 62 {
            0 => Self::Off,
            HEALTHY => Self::Healthy { failures, ejections, since: at },
            2 => Self::Ejected { ejections, until: at },
            _ => Self::Probing { ejections, until: at },
        }
    }
}

#[cfg(test)]
mod tests;
