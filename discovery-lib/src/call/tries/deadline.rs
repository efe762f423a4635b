//! How long a call may take, in whole and in part.

use std::time::Duration;

use tokio::time::Instant;

use crate::later::later;

/// The deadlines of a call. A try ends at whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection to an instance, its name's resolution included: 250 ms. Longer where a handshake crosses an ocean or a SYN may be
    /// lost; a dead host then costs each caller that much longer, until it is ejected.
    pub connect: Duration,
    /// For one try, from pick to the answer's head: 1 s. For a request that does not leave at once, from its end to the answer's head. Longer
    /// for services that think longer; a stuck instance is left only then.
    pub attempt: Duration,
    /// For the next byte, while the body of a request is sent or that of an answer is read: 2 s, in which TCP sends what was lost three times
    /// again. Longer for answers that pause, such as streams of events; `Duration::MAX` for those that pause for ever. An instance that is
    /// silent for longer has failed, and the reader of the answer gets an error ([`Error::is_timeout`](crate::Error::is_timeout)).
    pub stall: Duration,
    /// For the whole call, all tries and the reading of the answer by [`Body::bytes`](super::super::Body::bytes) included: 5 s.
    pub call: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(250),
            attempt: Duration::from_secs(1),
            stall: Duration::from_secs(2),
            call: Duration::from_secs(5),
        }
    }
}

/// A moment by which something has to be done, and how long that was when it began: what an error says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) span: Duration,
}

impl Deadline {
    pub(crate) fn after(span: Duration, now: Instant) -> Self {
        Self { at: later(now, span), span }
    }

    /// The silence after which an instance is to blame when this deadline comes: `stall`, or half of the whole where that is too short for it.
    pub(crate) fn silence(self, stall: Duration) -> Duration {
        stall.min(self.span / 2)
    }

    /// So much from now, but not beyond this deadline.
    pub(crate) fn at_most(self, span: Duration, now: Instant) -> Self {
        Self::after(span.min(self.at.saturating_duration_since(now)), now)
    }
}
