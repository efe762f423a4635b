//! How a connection ended, and what that says about its instance.

use std::{fmt, io, time::Duration};

use discovery::Verdict;

use super::activity::End;

/// An instance that closes a connection within this time, without a byte and before the client does, has failed: so does a port that is
/// forwarded to a program that is gone.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both ends have closed it.
    InOrder,
    /// One end broke it; the other was reset.
    Broken(Broken),
    /// Both ends were reset.
    Cut(Cut),
}

/// The end that broke a connection.
#[derive(Debug)]
pub(crate) enum Broken {
    Client(io::Error),
    Instance(io::Error),
}

/// The limit that cut a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Idle,
    Linger,
}

/// What a connection says about its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    Works,
    Failed,
    /// The client left first.
    Unknown,
}

/// The opinion on an instance that has sent a byte or not, from which end ended first and how long after the connection was made. None while
/// nothing is known.
pub(crate) fn opinion(has_answered: bool, first_end: Option<(End, Duration)>) -> Option<Opinion> {
    match first_end {
        _ if has_answered => Some(Opinion::Works),
        None => None,
        Some((End::Instance, elapsed)) if elapsed < AT_ONCE => Some(Opinion::Failed),
        Some((End::Instance | End::Client, _)) => Some(Opinion::Unknown),
    }
}

impl Opinion {
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Works => Verdict::SUCCESS,
            Self::Failed => Verdict::FAILURE,
            Self::Unknown => Verdict::NOTHING,
        }
    }
}

impl From<Result<(), Broken>> for Ended {
    fn from(ended: Result<(), Broken>) -> Self {
        ended.map_or_else(Self::Broken, |()| Self::InOrder)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InOrder => f.write_str("in order"),
            Self::Broken(Broken::Client(error)) => write!(f, "broken by the client: {error}"),
            Self::Broken(Broken::Instance(error)) => write!(f, "broken by the instance: {error}"),
            Self::Cut(Cut::Idle) => f.write_str("cut: idle for too long"),
            Self::Cut(Cut::Linger) => f.write_str("cut: its instance or its route has left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_failed_if_it_ends_at_once_without_a_byte() {
        let (soon, late) = (Duration::from_millis(999), Duration::from_secs(1));
        for (has_answered, first_end, expected) in [
            (false, None, None),
            (true, None, Some(Opinion::Works)),
            (true, Some((End::Instance, soon)), Some(Opinion::Works)),
            (false, Some((End::Instance, soon)), Some(Opinion::Failed)),
            (false, Some((End::Instance, late)), Some(Opinion::Unknown)),
            (false, Some((End::Client, soon)), Some(Opinion::Unknown)),
        ] {
            assert_eq!(opinion(has_answered, first_end), expected, "{has_answered} {first_end:?}");
        }
    }
}
