//! Keeps one service of the program registered: probes it, reports the results with its heartbeats, and leaves.

use std::{
    ffi::OsString,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use discovery::{Discovery, Lifecycle, Registered, ShutdownSignal, registration::near};
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use crate::{
    Readiness, Service,
    children::Children,
    readiness::probe,
    schedule::{Change, PROBE_WITHIN, Schedule},
};

/// What the services should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Stay,
    /// Leave, and drain.
    Leave,
    /// Leave at once.
    LeaveNow,
}

/// The orders to one service.
#[derive(Debug, Clone)]
pub(crate) struct Orders(pub(crate) watch::Receiver<Order>);

impl Orders {
    /// Waits for this order, or a later one.
    async fn reached(&mut self, order: Order) {
        // A sender that is gone means that the wrapper ends.
        self.0.wait_for(|now| *now >= order).await.ok();
    }

    fn now(&self) -> Order {
        *self.0.borrow()
    }
}

/// A service whose registration is held back until its program is ready.
#[derive(Debug)]
pub(crate) struct Kept {
    registered: Registered,
    probes: Probes,
}

#[derive(Debug)]
struct Probes {
    readiness: Readiness,
    at: SocketAddr,
    children: Children,
    hidden: Arc<[OsString]>,
    schedule: Schedule,
    /// Whether a command found the service ready: then no connection is tried before it is registered.
    ready: Arc<AtomicBool>,
}

impl Kept {
    /// # Errors
    /// The registration is invalid.
    pub(crate) fn new(
        discovery: &Discovery,
        service: Service,
        at: SocketAddr,
        children: Children,
        hidden: Arc<[OsString]>,
    ) -> Result<Self, discovery::Error> {
        let Service { mut registration, readiness } = service;
        let ready = Arc::new(AtomicBool::new(false));
        if let Readiness::Exec(_) = readiness {
            // Only the command knows what the service is; it may have no TCP port at all.
            let ready = ready.clone();
            registration = registration.probe(move || {
                let is_ready = ready.load(Relaxed);
                async move { if is_ready { Ok(()) } else { Err("not ready yet") } }
            });
        }
        let registered = discovery.register(registration)?;
        registered.fail("not ready yet");
        registered.set_accepting();
        let schedule = Schedule::new(Instant::now());
        let probes = Probes { readiness, at, children, hidden, schedule, ready };
        Ok(Self { registered, probes })
    }

    pub(crate) fn lifecycle(&self) -> Lifecycle {
        self.registered.lifecycle()
    }

    /// Keeps it registered until an order to leave.
    ///
    /// # Errors
    /// No caller could reach it.
    pub(crate) async fn run(
        self,
        mut orders: Orders,
        drain: Duration,
    ) -> Result<(), discovery::Error> {
        let Self { registered, mut probes } = self;
        let lifecycle = registered.lifecycle();
        select! {
            () = probes.until_ready(&lifecycle) => {}
            // It is not registered, so there is nothing to drain.
            () = orders.reached(Order::Leave) => {
                registered.leave().await;
                return Ok(());
            }
        }
        let (trigger, signals) = ShutdownSignal::manual();
        let serve = async |lifecycle: Lifecycle| {
            select! {
                () = probes.forever(&lifecycle) => {}
                () = orders.reached(Order::Leave) => {}
            }
            if orders.now() == Order::Leave {
                trigger.fire();
            }
            select! {
                () = lifecycle.drained() => {}
                () = orders.reached(Order::LeaveNow) => {}
            }
        };
        registered.serve_until(signals, drain, serve).await
    }
}

impl Probes {
    async fn until_ready(&mut self, lifecycle: &Lifecycle) {
        while self.step(lifecycle).await != Some(Change::Ready) {}
    }

    async fn forever(&mut self, lifecycle: &Lifecycle) {
        loop {
            self.step(lifecycle).await;
        }
    }

    /// One probe, and what follows from it.
    async fn step(&mut self, lifecycle: &Lifecycle) -> Option<Change> {
        sleep_until(self.schedule.probe_at()).await;
        let probed =
            probe(&self.readiness, self.at, &self.children, &self.hidden, PROBE_WITHIN).await;
        let change = self.schedule.probed(probed.is_ok(), Instant::now());
        if probed.is_ok() {
            self.ready.store(true, Relaxed);
        }
        report(lifecycle, change, probed.err().as_deref());
        change
    }
}

fn report(lifecycle: &Lifecycle, change: Option<Change>, error: Option<&str>) {
    let (service, id) = (lifecycle.service(), lifecycle.id());
    match error {
        // Also without a change: the reason may be another one.
        Some(error) => lifecycle.fail(error),
        None if change.is_some() => lifecycle.pass("probe ok"),
        None => {}
    }
    match change {
        Some(Change::Ready) => {
            info!(%service, instance = %id, "program is ready");
        }
        Some(Change::Recovers) => {
            info!(%service, instance = %id, "probe succeeds again");
        }
        Some(Change::Fails) => {
            warn!(%service, instance = %id, error, "probe fails; the instance is critical");
        }
        Some(Change::Unready(time)) => {
            warn!(%service, instance = %id, ?time, error, "program is not ready yet; not registered");
        }
        None => {}
    }
}

/// Where a service of the program is probed: at the address at which it listens, on this machine.
pub(crate) fn probed_at(service: &Service) -> SocketAddr {
    near(service.registration.local())
}
