//! Since when and why a member is ejected, for explanations.

use std::fmt;

use tokio::time::Instant;

/// The present ejection of a member. A failed probe prolongs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ejection {
    /// When it began.
    pub since: Instant,
    /// When a call may probe the member.
    pub until: Instant,
    /// Why it began.
    pub cause: EjectionCause,
}

/// Why a member was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EjectionCause {
    /// This number of consecutive calls failed.
    FailuresInARow {
        /// The number.
        count: u8,
        /// The last of them did not reach the instance: refused, unreachable, or not connected in time.
        is_unreached: bool,
    },
    /// The success rate was below this percentage.
    LowSuccessRate {
        /// The percentage.
        min_percent: u8,
    },
}

impl fmt::Display for EjectionCause {
    /// A fragment of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailuresInARow { count, is_unreached: true } => {
                write!(f, "{count} failures in a row, at last no connection")
            }
            Self::FailuresInARow { count, is_unreached: false } => {
                write!(f, "{count} failures in a row")
            }
            Self::LowSuccessRate { min_percent } => {
                write!(f, "fewer than {min_percent} % of its calls succeeded")
            }
        }
    }
}
