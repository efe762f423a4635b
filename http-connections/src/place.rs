//! The place of one connection in the table that limits connections, with the phase of the connection.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

use crate::table::Table;

/// The phase of a connection. The number is the tick at which it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No byte of a head has arrived, or an answer is being sent: since the last byte in either direction.
    Quiet(u32),
    /// A head has begun: since its first byte.
    Head(u32),
    /// The head is complete, the body is not: since the end of the head.
    Body(u32),
    /// A handler processes the request.
    InHand,
}

/// The state that the table shares with the connection's task. Only that task writes the word.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) client: IpAddr,
    /// Ends the connection; if a request is in hand, after its answer.
    pub(crate) end: CancellationToken,
    /// Open and not requested to end. Written only under the table's lock.
    stays: AtomicBool,
    clock: Arc<AtomicU32>,
    /// Ticks in the lower half, phase and `SERVED` in the upper half.
    word: AtomicU64,
}

const QUIET: u64 = 0;
const HEAD: u64 = 1 << 32;
const BODY: u64 = 2 << 32;
const IN_HAND: u64 = 3 << 32;
const PHASE: u64 = 3 << 32;
/// A request is or was in hand.
const SERVED: u64 = 4 << 32;

impl Slot {
    pub(crate) fn new(client: IpAddr, clock: Arc<AtomicU32>, end: CancellationToken) -> Self {
        let word = AtomicU64::new(clock.load(Relaxed).into());
        Self { client, end, stays: AtomicBool::new(true), clock, word }
    }

    pub(crate) fn phase(&self) -> Phase {
        let word = self.word.load(Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the tick")]
        let since = word as u32;
        match word & PHASE {
            HEAD => Phase::Head(since),
            BODY => Phase::Body(since),
            IN_HAND => Phase::InHand,
            _ => Phase::Quiet(since),
        }
    }

    /// Whether a request of this connection was ever in hand.
    pub(crate) fn has_served(&self) -> bool {
        self.word.load(Relaxed) & SERVED != 0
    }

    pub(crate) fn stays(&self) -> bool {
        self.stays.load(Relaxed)
    }

    /// Returns whether it stayed until now.
    pub(crate) fn stop_staying(&self) -> bool {
        self.stays.swap(false, Relaxed)
    }

    pub(crate) fn received(&self) {
        if matches!(self.phase(), Phase::Quiet(_)) {
            self.enter(HEAD);
        }
    }

    pub(crate) fn sent(&self) {
        if matches!(self.phase(), Phase::Quiet(_)) {
            self.enter(QUIET);
        }
    }

    fn enter(&self, phase: u64) {
        let served = (self.word.load(Relaxed) & SERVED) | if phase == IN_HAND { SERVED } else { 0 };
        self.word.store(served | phase | u64::from(self.clock.load(Relaxed)), Relaxed);
    }
}

/// The place of a connection. It is released on drop.
#[derive(Debug)]
pub struct Place {
    pub(crate) number: u64,
    pub(crate) slot: Arc<Slot>,
    pub(crate) table: Arc<Table>,
}

/// How a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Immediately: it exceeded its time, or its place is needed. None of its requests is in hand.
    AtOnce,
    /// Gracefully: after the request in flight.
    InOrder,
}

impl Place {
    /// Returns when the connection must end.
    pub async fn ended(&self) -> End {
        self.slot.end.cancelled().await;
        if self.table.stops() || self.slot.phase() == Phase::InHand {
            End::InOrder
        } else {
            End::AtOnce
        }
    }

    /// A handle with which the service of this connection reports the progress of its requests.
    pub fn exchanges(&self) -> Exchanges {
        Exchanges(Arc::clone(&self.slot))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.leave(self.number);
    }
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Exchanges(Arc<Slot>);

impl Exchanges {
    /// The head of a request is complete.
    #[must_use]
    pub fn begin(&self) -> Exchange {
        self.0.enter(BODY);
        Exchange(Arc::clone(&self.0))
    }
}

/// One request. Drop it when its answer is known.
#[derive(Debug)]
pub struct Exchange(Arc<Slot>);

impl Exchange {
    /// The body is complete and a handler processes the request: from now on the connection is not closed to free its place.
    pub fn in_hand(&self) {
        self.0.enter(IN_HAND);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.enter(QUIET);
    }
}
