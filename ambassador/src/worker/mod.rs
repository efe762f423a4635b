//! The threads that serve connections: one per core, each with a runtime of its own.
//!
//! They follow a [`Plan`]: each accepts from its own sockets of each route. A connection stays on the worker that accepted it. A worker ends when
//! the plan's sender is dropped, at once, or when it drains and has no connection left.

mod accept;
mod context;
mod early_timer;

use std::{
    collections::HashMap,
    convert::Infallible,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
};

use discovery::Discovery;
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    select,
    sync::{mpsc, watch},
};
use tracing::error;

use crate::{Error, connection_limit::ConnectionLimit, route::ActiveRoute};
use accept::Accepting;
pub(crate) use context::{Context, Drain};

/// What the workers serve.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) routes: Arc<[Arc<ActiveRoute>]>,
    pub(crate) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    /// No new connections. A worker ends with its last one.
    Draining,
}

/// What the workers share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) discovery: Discovery,
    /// The limit on all connections.
    pub(crate) limit: Arc<ConnectionLimit>,
}

/// All workers. Dropping it waits for their threads: drop the plan's sender before.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// Closed when all have ended.
    all_ended_rx: mpsc::Receiver<Infallible>,
    one_ended_rx: mpsc::Receiver<()>,
}

impl Workers {
    /// # Errors
    /// The system refuses a thread or its runtime.
    pub(crate) fn start(
        count: usize,
        plan_rx: &watch::Receiver<Plan>,
        shared: &Shared,
    ) -> Result<Self, Error> {
        let (all_ended_tx, all_ended_rx) = mpsc::channel(1);
        let (one_ended_tx, one_ended_rx) = mpsc::channel(count);
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let (plan_rx, shared) = (plan_rx.clone(), shared.clone());
            let (all_ended_tx, one_ended_tx) = (all_ended_tx.clone(), one_ended_tx.clone());
            let work = move || {
                run(index, count, plan_rx, shared);
                one_ended_tx.try_send(()).ok();
                drop(all_ended_tx);
            };
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(work);
            let thread =
                thread.map_err(|err| Error::system(format!("cannot start a thread: {err}")))?;
            threads.push(thread);
        }
        Ok(Self { threads, all_ended_rx, one_ended_rx })
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Waits until one has ended. Cancel safe.
    pub(crate) async fn ended(&mut self) {
        self.one_ended_rx.recv().await;
    }

    /// Waits until all have ended. Cancel safe.
    pub(crate) async fn all_ended(&mut self) {
        self.all_ended_rx.recv().await;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("worker panicked");
            }
        }
    }
}

fn run(index: usize, count: usize, plan_rx: watch::Receiver<Plan>, shared: Shared) {
    let runtime: LocalRuntime =
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return error!(%error, "worker has no runtime"),
        };
    let context = Rc::new(Context::new(index, count, shared));
    runtime.block_on(follow(&context, plan_rx));
}

/// Serves the routes of the plan, until its end.
async fn follow(context: &Rc<Context>, mut plan_rx: watch::Receiver<Plan>) {
    let mut accepting: HashMap<*const ActiveRoute, Accepting> = HashMap::new();
    loop {
        let Plan { routes, stage } = plan_rx.borrow_and_update().clone();
        let is_open = stage == Stage::Serving;
        accepting.retain(|route, it| {
            let stays = is_open && routes.iter().any(|planned| Arc::as_ptr(planned) == *route);
            if !stays {
                it.stop();
            }
            stays
        });
        for route in routes.iter().filter(|_| is_open) {
            accepting.entry(Arc::as_ptr(route)).or_insert_with(|| Accepting::start(route, context));
        }
        select! {
            changed = plan_rx.changed() => if changed.is_err() { return },
            () = context.no_connections(), if !is_open => return,
        }
    }
}
