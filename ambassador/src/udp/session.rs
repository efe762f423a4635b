//! One client of a UDP route: its instance, and when it goes to another one.

use discovery::MemberId;
use tokio_util::task::AbortOnDropHandle;

use super::upstream::{NotSent, Upstream};

/// The session of a client.
#[derive(Debug)]
pub(super) struct Session {
    way: Way,
    /// Whether an answer to the last datagram is missing.
    is_unanswered: bool,
}

/// Where the datagrams of a client go.
#[derive(Debug)]
pub(super) enum Way {
    Open(Upstream),
    /// The host name of the instance is being looked up. Datagrams are dropped until then.
    LookUp {
        _task: AbortOnDropHandle<()>,
    },
    /// The instance can't be reached. The next datagram goes to another one.
    Lost(MemberId),
}

/// What became of a datagram of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Done,
    Dropped,
    /// It was not sent: another instance is needed, if possible not this one.
    Move(Option<MemberId>),
}

impl Session {
    pub(super) fn new(way: Way) -> Self {
        Self { way, is_unanswered: true }
    }

    /// Sends a datagram to the instance.
    pub(super) fn send(&mut self, datagram: &[u8]) -> Sent {
        self.is_unanswered = true;
        match &self.way {
            Way::Open(upstream) if !upstream.is_current() => Sent::Move(None),
            Way::Open(upstream) => match upstream.socket.send(datagram) {
                Ok(()) => Sent::Done,
                Err(NotSent::Dropped) => Sent::Dropped,
                Err(NotSent::Unreachable) => Sent::Move(self.lose()),
            },
            Way::LookUp { .. } => Sent::Dropped,
            Way::Lost(member) => Sent::Move(Some(*member)),
        }
    }

    /// The instance has answered.
    pub(super) fn answered(&mut self) {
        self.is_unanswered = false;
        if let Way::Open(upstream) = &mut self.way {
            upstream.answered();
        }
    }

    /// The instance can't be reached. Returns which one it was.
    pub(super) fn lose(&mut self) -> Option<MemberId> {
        let Way::Open(upstream) = &self.way else { return None };
        let member = upstream.member;
        self.is_unanswered = false;
        if let Way::Open(upstream) = std::mem::replace(&mut self.way, Way::Lost(member)) {
            upstream.fail();
        }
        Some(member)
    }

    /// Its instance, if it has one.
    pub(super) fn upstream(&self) -> Option<&Upstream> {
        match &self.way {
            Way::Open(upstream) => Some(upstream),
            Way::LookUp { .. } | Way::Lost(_) => None,
        }
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.is_unanswered
    }
}
