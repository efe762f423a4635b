//! What all connections of one worker share.

use std::{cell::Cell, rc::Rc};

use discovery::Discovery;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Shared, early_timer::EarlyTimer};
use crate::{connection_limit::Permit, counters::Counters, route::ActiveRoute, tcp::Buffers};

/// A worker, as its connections see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) index: usize,
    pub(crate) count: usize,
    shared: Shared,
    pub(crate) buffers: Rc<Buffers>,
    open: Cell<usize>,
    early_timer: Rc<EarlyTimer>,
    /// Wakes the worker when its last connection has ended.
    closed: Notify,
}

/// The drain of a route: it begins when the route is removed or changed, or the ambassador stops.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain(CancellationToken);

/// A connection that is counted: by both limits, and by its worker.
#[derive(Debug)]
pub(crate) struct Open {
    context: Rc<Context>,
    _permits: Option<(Permit, Permit)>,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Route,
    Total,
}

impl Context {
    pub(super) fn new(index: usize, count: usize, shared: Shared) -> Self {
        let (buffers, open, early_timer) = (Rc::default(), Cell::new(0), Rc::default());
        Self { index, count, shared, buffers, open, early_timer, closed: Notify::new() }
    }

    /// For pools of services that requests name.
    pub(crate) fn discovery(&self) -> &Discovery {
        &self.shared.discovery
    }

    /// The counters of a route on this worker.
    pub(crate) fn counters<'r>(&self, route: &'r ActiveRoute) -> &'r Counters {
        &route.counters[self.index]
    }

    /// Opens a connection, if both limits allow it.
    pub(super) fn open(self: &Rc<Self>, route: &ActiveRoute) -> Result<Open, Full> {
        let of_route = route.limit.acquire().ok_or(Full::Route)?;
        let of_all = self.shared.limit.acquire().ok_or(Full::Total)?;
        let mut open = self.hold();
        open._permits = Some((of_route, of_all));
        self.early_timer.keep();
        Ok(open)
    }

    /// Work that the worker finishes as it does connections, and that no limit counts.
    pub(super) fn hold(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open { context: Rc::clone(self), _permits: None }
    }

    /// Waits until there is no connection.
    pub(super) async fn no_connections(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = &self.context.open;
        open.set(open.get() - 1);
        if open.get() == 0 {
            self.context.closed.notify_one();
        }
    }
}

impl Drain {
    pub(crate) fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it begins. Cancel safe.
    pub(crate) async fn begun(&self) {
        self.0.cancelled().await;
    }

    pub(super) fn begin(&self) {
        self.0.cancel();
    }
}
