//! The idle connections to one member, kept for the next call. Those that take several requests at the same time stay in the list while they
//! are in use.
//!
//! They belong to the member, so all its callers share them. They are closed when the member has left the pool and its last call has ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::{self, Handle},
    sync::Mutex as Turns,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{protocol::Protocol, tls::InstanceTls},
    Connection, How, Share, Wire,
};
use crate::Pick;

/// When the time of a connection is over while it is in use, it is looked at again after this time.
const USED_CHECKED_AFTER: Duration = Duration::from_secs(1);

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
    /// The turns of those that open a shared connection, one per runtime: the task that has the turn of another one may never run again.
    turns: Vec<(runtime::Id, Weak<Turns<()>>)>,
    /// Whether the instance chose HTTP/1.1 the last time that it had the choice.
    has_chosen_http1: bool,
}

/// A connection in the list.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) connection: Wire,
    pub(crate) tls: Option<InstanceTls>,
    /// The time at which it expires and is closed, unless it is in use.
    pub(crate) until: Instant,
}

impl Idle {
    fn is_kept(&self, now: Instant) -> bool {
        now < self.until || self.connection.is_in_use()
    }
}

/// A connection in use, and the idle connections to which it returns.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Wire,
    pub(crate) tls: Option<InstanceTls>,
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
            let Self { connection, tls, kept, until, idle_max } = self;
            kept.put(Idle { connection, tls, until }, idle_max);
        }
    }
}

impl IdleConnections {
    /// The idle connections of the picked member.
    pub(crate) fn of(pick: &Pick) -> Arc<Self> {
        pick.attached()
    }

    /// Must be called on the runtime of a newly opened connection, before it is kept.
    pub(crate) fn opened(&self, connection: &Wire, how: &How) {
        let mut state = self.state();
        state.runtime = Some(Handle::current());
        if how.protocol == Protocol::Auto {
            state.has_chosen_http1 = !connection.is_shared();
        }
    }

    /// Whether the next connection is likely to be a shared one.
    pub(crate) fn expects_shared(&self, how: &How) -> bool {
        match how.protocol {
            Protocol::Auto => !self.state().has_chosen_http1,
            protocol => protocol.may_share(),
        }
    }

    /// An idle connection of this runtime, protocol and TLS that has not expired, or a part of a shared one: a connection of another runtime is not
    /// driven if that has ended. The server may still have closed it.
    pub(crate) fn take(&self, now: Instant, how: &How) -> Option<Wire> {
        let here = Handle::current().id();
        let mut state = self.state();
        for place in (0..state.idle.len()).rev() {
            let idle = &state.idle[place];
            let Idle { connection, tls, .. } = idle;
            if connection.runtime() != here
                || !idle.is_kept(now)
                || !connection.is(how.protocol)
                || *tls != how.tls
            {
                continue;
            }
            match connection.share() {
                Share::Alone => return Some(state.idle.remove(place).connection),
                Share::With(part) => return Some(part),
                Share::Full => {}
                Share::Ended => drop(state.idle.remove(place)),
            }
        }
        None
    }

    /// The turn to open a connection that others share: calls that begin together wait for one connection, and do not open one each.
    pub(crate) fn turn(&self) -> Arc<Turns<()>> {
        let here = Handle::current().id();
        let mut state = self.state();
        state.turns.retain(|(_, turn)| turn.strong_count() > 0);
        let known = state.turns.iter().find(|(runtime, _)| *runtime == here);
        known.and_then(|(_, turn)| turn.upgrade()).unwrap_or_else(|| {
            let turn = Arc::default();
            state.turns.push((here, Arc::downgrade(&turn)));
            turn
        })
    }

    /// Keeps an idle connection, unless the limit is reached.
    pub(crate) fn put(self: &Arc<Self>, idle: Idle, idle_max: u32) {
        let Idle { connection, until, .. } = &idle;
        let mut state = self.state();
        if connection.is_shared()
            && let Some(listed) = state.idle.iter_mut().find(|it| it.connection.is_same(connection))
        {
            listed.until = listed.until.max(*until);
            return;
        }
        if state.idle.len() >= idle_max as usize {
            // Those of a runtime that ended have no reaper.
            let now = Instant::now();
            state.idle.retain(|idle| idle.is_kept(now));
        }
        if state.idle.len() >= idle_max as usize {
            return;
        }
        state.idle.push(idle);
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
        state.idle.retain(|idle| idle.is_kept(now));
        let in_use = now + USED_CHECKED_AFTER;
        let next = state.idle.iter().map(|it| if now < it.until { it.until } else { in_use }).min();
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
