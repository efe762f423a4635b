//! The idle connections to one member, kept for the next call.
//!
//! They belong to the member, so all its callers share them. They are closed when the member has left the pool and its last call has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Connection, Wire};
use crate::Pick;

#[derive(Debug, Default)]
pub(crate) struct IdleConnections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In order of use; the most recently used is taken first, so that under less load the others expire.
    idle: Vec<Idle>,
    /// The task that closes expired connections. It ends when none is left.
    reaper: Option<AbortOnDropHandle<()>>,
    /// The runtime of the last opened connection, on which the reaper runs: a connection may be returned on a thread without a runtime.
    runtime: Option<Handle>,
}

#[derive(Debug)]
struct Idle {
    /// The time at which it expires and is closed.
    until: Instant,
    connection: Box<Wire>,
}

/// A connection in use, and the idle connections to which it returns.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Box<Wire>,
    pub(crate) kept: Arc<IdleConnections>,
    /// The time until which it may be kept.
    pub(crate) until: Instant,
    /// Idle connections of the instance.
    pub(crate) idle_max: u32,
}

impl Lease {
    /// Keeps the connection if its last response is complete and it can take another request.
    pub(crate) fn keep(mut self) {
        if self.connection.is_usable() {
            self.kept.put(self.connection, self.until, self.idle_max);
        }
    }
}

impl IdleConnections {
    /// The idle connections of the picked member.
    pub(crate) fn of(pick: &Pick) -> Arc<Self> {
        pick.attached()
    }

    /// Must be called on the runtime of a newly opened connection, before it is kept.
    pub(crate) fn opened(&self) {
        self.state().runtime = Some(Handle::current());
    }

    /// An idle connection of this runtime that has not expired: a connection of another runtime is not driven if that has ended. The server may
    /// still have closed it.
    pub(crate) fn take(&self, now: Instant) -> Option<Box<Wire>> {
        let here = Handle::current().id();
        let is_usable = |idle: &Idle| idle.connection.runtime() == here && now < idle.until;
        let mut state = self.state();
        let place = state.idle.iter().rposition(is_usable)?;
        Some(state.idle.remove(place).connection)
    }

    /// Keeps an idle connection, unless the limit is reached.
    fn put(self: &Arc<Self>, connection: Box<Wire>, until: Instant, idle_max: u32) {
        let mut state = self.state();
        if state.idle.len() >= idle_max as usize {
            // Those of a runtime that ended have no reaper.
            let now = Instant::now();
            state.idle.retain(|idle| now < idle.until);
        }
        if state.idle.len() >= idle_max as usize {
            return;
        }
        state.idle.push(Idle { until, connection });
        if state.reaper.as_ref().is_none_or(AbortOnDropHandle::is_finished)
            && let Some(runtime) = &state.runtime
        {
            let reaper = runtime.spawn(reap(Arc::downgrade(self)));
            state.reaper = Some(AbortOnDropHandle::new(reaper));
        }
    }

    /// Closes expired connections, and returns the time at which the next one expires. If none is left, the reaper ends.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        state.idle.retain(|idle| now < idle.until);
        let next = state.idle.iter().map(|idle| idle.until).min();
        if next.is_none() {
            state.reaper = None;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reap(kept: Weak<IdleConnections>) {
    let close_old = || kept.upgrade().and_then(|kept| kept.close_old(Instant::now()));
    while let Some(next) = close_old() {
        sleep_until(next).await;
    }
}
