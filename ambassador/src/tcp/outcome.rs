//! How a connection ended, and the verdict on its instance.

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

/// The verdict on an instance that has sent a byte or not, from which end closed first and how long after the connection was made. None while
/// nothing is known.
pub(crate) fn verdict(has_answered: bool, first_end: Option<(End, Duration)>) -> Option<Verdict> {
    match first_end {
        _ if has_answered => Some(Verdict::SUCCESS),
        None => None,
        Some((End::Instance, elapsed)) if elapsed < AT_ONCE => Some(Verdict::FAILURE),
        Some((End::Instance | End::Client, _)) => Some(Verdict::NOTHING),
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
            (true, None, Some(Verdict::SUCCESS)),
            (true, Some((End::Instance, soon)), Some(Verdict::SUCCESS)),
            (false, Some((End::Instance, soon)), Some(Verdict::FAILURE)),
            (false, Some((End::Instance, late)), Some(Verdict::NOTHING)),
            (false, Some((End::Client, soon)), Some(Verdict::NOTHING)),
        ] {
            assert_eq!(verdict(has_answered, first_end), expected, "{has_answered} {first_end:?}");
        }
    }
}
