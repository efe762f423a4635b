//! The idle connections to one member, kept for the next call.
//!
//! They hang on the member itself, so they are shared by all who call it and closed when it has left the pool and the last call to it has
//! ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;
use crate::Pick;

/// Idle connections kept for one member.
pub(crate) const KEPT_MAX: usize = 256;
/// How long a connection is kept after its last request: less than the 5 s after which common servers (Node.js, Uvicorn) close theirs, since a request that
/// meets such a close on its way can't be told from one that was served.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The last one used is the first one taken: under less load the others grow old.
    idle: Mutex<Vec<Idle>>,
    reaper: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct Idle {
    used_at: Instant,
    connection: Box<Connection>,
}

/// A connection in use, and where it goes when it is idle again.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) connection: Box<Connection>,
    pub(crate) kept: Arc<Kept>,
    /// When the request was sent.
    pub(crate) used_at: Instant,
}

impl Line {
    /// Keeps the connection, if its last answer is over and it may have another.
    pub(crate) fn keep(mut self) {
        if self.connection.rest() {
            self.kept.put(self.connection, self.used_at);
        }
    }
}

impl Kept {
    /// Those of the member that was picked.
    pub(crate) fn of(pick: &Pick) -> Arc<Self> {
        pick.attached()
    }

    /// An idle connection that is young enough. The server may have closed it nevertheless.
    pub(crate) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.idle();
        while let Some(last) = idle.pop() {
            if now - last.used_at < KEPT_FOR {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection that is idle, unless there are enough.
    fn put(&self, connection: Box<Connection>, used_at: Instant) {
        let mut idle = self.idle();
        if idle.len() < KEPT_MAX {
            idle.push(Idle { used_at, connection });
        }
    }

    /// Sees to it that what grows too old is closed, also when nobody calls any more. To be called on the runtime that the connections are of.
    pub(crate) fn reap(self: &Arc<Self>) {
        let mut reaper = self.reaper.lock().unwrap_or_else(PoisonError::into_inner);
        if reaper.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            *reaper = Some(AbortOnDropHandle::new(tokio::spawn(reap(Arc::downgrade(self)))));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reap(kept: Weak<Kept>) {
    loop {
        sleep(KEPT_FOR).await;
        let Some(kept) = kept.upgrade() else { return };
        let now = Instant::now();
        kept.idle().retain(|idle| now - idle.used_at < KEPT_FOR);
    }
}
