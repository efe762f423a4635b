//! The permit of one connection, and its entry in the table that limits connections: phase and activity.

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
    Idle(u32),
    /// A head has begun: since its first byte.
    Head(u32),
    /// The head is complete, the body is not: since the end of the head.
    Body(u32),
    /// A handler processes the request.
    InProgress,
}

/// The state that the table shares with the connection's task. Only that task writes the word.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) client: IpAddr,
    /// Ends the connection; if a request is in progress, after its answer.
    pub(crate) end: CancellationToken,
    /// Open and not requested to end. Written only under the table's lock.
    is_open: AtomicBool,
    clock: Arc<AtomicU32>,
    /// Ticks in the lower half, phase and `SERVED` in the upper half.
    word: AtomicU64,
}

const IDLE: u64 = 0;
const HEAD: u64 = 1 << 32;
const BODY: u64 = 2 << 32;
const IN_PROGRESS: u64 = 3 << 32;
const PHASE: u64 = 3 << 32;
/// A request is or was in progress.
const SERVED: u64 = 4 << 32;

impl Entry {
    pub(crate) fn new(client: IpAddr, clock: Arc<AtomicU32>, end: CancellationToken) -> Self {
        let word = AtomicU64::new(clock.load(Relaxed).into());
        Self { client, end, is_open: AtomicBool::new(true), clock, word }
    }

    pub(crate) fn phase(&self) -> Phase {
        let word = self.word.load(Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the tick")]
        let since = word as u32;
        match word & PHASE {
            HEAD => Phase::Head(since),
            BODY => Phase::Body(since),
            IN_PROGRESS => Phase::InProgress,
            _ => Phase::Idle(since),
        }
    }

    /// Whether a request of this connection was ever in progress.
    pub(crate) fn has_served(&self) -> bool {
        self.word.load(Relaxed) & SERVED != 0
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Returns whether it was open until now.
    pub(crate) fn mark_closing(&self) -> bool {
        self.is_open.swap(false, Relaxed)
    }

    pub(crate) fn received(&self) {
        if matches!(self.phase(), Phase::Idle(_)) {
            self.enter(HEAD);
        }
    }

    pub(crate) fn sent(&self) {
        if matches!(self.phase(), Phase::Idle(_)) {
            self.enter(IDLE);
        }
    }

    fn enter(&self, phase: u64) {
        let served =
            (self.word.load(Relaxed) & SERVED) | if phase == IN_PROGRESS { SERVED } else { 0 };
        self.word.store(served | phase | u64::from(self.clock.load(Relaxed)), Relaxed);
    }
}

/// The right to hold one connection. It is released on drop.
#[derive(Debug)]
pub struct Permit {
    pub(crate) number: u64,
    pub(crate) entry: Arc<Entry>,
    pub(crate) table: Arc<Table>,
}

/// How a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Immediately: it exceeded a time limit, or its permit is needed. None of its requests is in progress.
    Immediate,
    /// Gracefully: after the request in flight.
    Graceful,
}

impl Permit {
    /// Returns when the connection must end.
    pub async fn ended(&self) -> End {
        self.entry.end.cancelled().await;
        if self.table.is_stopping() || self.entry.phase() == Phase::InProgress {
            End::Graceful
        } else {
            End::Immediate
        }
    }

    /// A handle with which the service of this connection reports the progress of its requests.
    pub fn exchanges(&self) -> Exchanges {
        Exchanges(Arc::clone(&self.entry))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.table.release(self.number);
    }
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Exchanges(Arc<Entry>);

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
pub struct Exchange(Arc<Entry>);

impl Exchange {
    /// The body is complete and a handler processes the request: from now on the connection is not closed to free its permit.
    pub fn in_progress(&self) {
        self.0.enter(IN_PROGRESS);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.enter(IDLE);
    }
}
