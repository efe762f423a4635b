//! One connection's place: what the connection is at, for the table that bounds connections.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

use crate::table::Table;

/// What a connection is at. The number is the tick since which that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No byte of a head is there, or an answer is being sent: since the last byte in either direction.
    Quiet(u32),
    /// A head has begun: since its first byte.
    Head(u32),
    /// The head is there, the body is not: since the head's end.
    Body(u32),
    /// A handler has the request.
    InHand,
}

/// What the table and the connection's task share. Only the connection's task writes the word.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) client: IpAddr,
    /// Ends the connection, unless a request is in hand: then after that.
    pub(crate) end: CancellationToken,
    /// Neither told to end nor gone: written under the table's lock alone.
    stays: AtomicBool,
    clock: Arc<AtomicU32>,
    /// Ticks in the lower half, phase and `SERVED` in the upper.
    word: AtomicU64,
}

const QUIET: u64 = 0;
const HEAD: u64 = 1 << 32;
const BODY: u64 = 2 << 32;
const IN_HAND: u64 = 3 << 32;
const PHASE: u64 = 3 << 32;
/// A request was in hand, now or before.
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

    /// Whether it stayed until now.
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

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    pub(crate) number: u64,
    pub(crate) slot: Arc<Slot>,
    pub(crate) table: Arc<Table>,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It used up its time, or its place is needed. No handler has a request of it.
    AtOnce,
    /// After what is in flight.
    InOrder,
}

impl Place {
    /// Returns when the connection is to end.
    pub async fn ended(&self) -> End {
        self.slot.end.cancelled().await;
        if self.table.stops() || self.slot.phase() == Phase::InHand {
            End::InOrder
        } else {
            End::AtOnce
        }
    }

    /// For the service of this connection, which says what becomes of its requests.
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
    /// A request's head is there.
    #[must_use]
    pub fn begin(&self) -> Exchange {
        self.0.enter(BODY);
        Exchange(Arc::clone(&self.0))
    }
}

/// One request, until its answer is known: then it is dropped.
#[derive(Debug)]
pub struct Exchange(Arc<Slot>);

impl Exchange {
    /// The body is there, too, and a handler is about to have the request: from now on the connection does not give way.
    pub fn in_hand(&self) {
        self.0.enter(IN_HAND);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.enter(QUIET);
    }
}
