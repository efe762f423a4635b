//! The handle of a running ambassador: starts it, changes its routes, drains it.

use std::{sync::Arc, time::Duration};

use discovery::{Discovery, serve::AdminServer};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::{
    Config, Error, Listen,
    admin::{self, View},
    descriptors,
    listen::Listeners,
    places::Places,
    route::ActiveRoute,
    worker::{Plan, Shared, Stage, Workers},
};

/// A running ambassador. Dropping it closes its ports and resets its connections.
#[derive(Debug)]
pub struct Ambassador {
    discovery: Discovery,
    plan_tx: watch::Sender<Plan>,
    /// The limit on all connections.
    places: Arc<Places>,
    workers: Workers,
}

impl Ambassador {
    /// Binds all routes and serves them, on as many threads.
    ///
    /// # Errors
    /// A port is in use or needs privileges, or a thread can't be started. Nothing listens then.
    ///
    /// # Panics
    /// Outside of a tokio runtime. The pools are fed by that runtime.
    pub fn start(config: &Config, discovery: Discovery, threads: usize) -> Result<Self, Error> {
        let threads = threads.max(1);
        let places = Places::new(descriptors::possible(config.connections_max));
        let routes = config.routes.iter().map(|route| {
            let listeners = Listeners::bind(&route.listen, threads)?;
            Ok(Arc::new(ActiveRoute::new(route.clone(), listeners, &discovery, threads)))
        });
        let routes = routes.collect::<Result<Arc<[_]>, Error>>()?;
        routes.iter().for_each(|route| listening(route));
        let (plan_tx, plan_rx) = watch::channel(Plan { routes, stage: Stage::Serving });
        let shared = Shared { discovery: discovery.clone(), places: Arc::clone(&places) };
        let workers = Workers::start(threads, &plan_rx, &shared)?;
        Ok(Self { discovery, plan_tx, places, workers })
    }

    /// Serves other routes and limits from now on, all or nothing. Routes with the same [`Listen`] keep their sockets; removed ones stop
    /// accepting, and their connections may go on for the time of [`linger`](crate::RouteOptions::linger).
    ///
    /// # Errors
    /// A new port is in use or needs privileges. Nothing has changed then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn apply(&self, config: &Config) -> Result<(), Error> {
        let old = self.plan_tx.borrow().clone();
        let kept = |listen: &Listen| old.routes.iter().find(|it| it.config.listen == *listen);
        // All sockets are bound before anything changes.
        let bind = |route: &crate::Route| match kept(&route.listen) {
            Some(_) => Ok(None),
            None => Listeners::bind(&route.listen, self.workers.count()).map(Some),
        };
        let bound = config.routes.iter().map(bind).collect::<Result<Vec<_>, Error>>()?;
        let routes = config.routes.iter().zip(bound).map(|(route, bound)| {
            let (discovery, count) = (&self.discovery, self.workers.count());
            match (bound, kept(&route.listen)) {
                (None, Some(old)) if old.config == *route => Arc::clone(old),
                (None, Some(old)) => Arc::new(old.with(route.clone(), discovery)),
                (Some(new), _) => Arc::new(ActiveRoute::new(route.clone(), new, discovery, count)),
                (None, None) => unreachable!("what is not kept was bound"),
            }
        });
        let routes: Arc<[_]> = routes.collect();
        let is_new =
            |route: &&Arc<ActiveRoute>| !old.routes.iter().any(|it| Arc::ptr_eq(it, route));
        routes.iter().filter(is_new).for_each(|route| listening(route));
        self.places.set_max(descriptors::possible(config.connections_max));
        self.plan_tx.send_modify(|plan| plan.routes = routes);
        Ok(())
    }

    /// Where the routes listen, in their order, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listen> {
        self.plan_tx.borrow().routes.iter().map(|route| route.listeners.at.clone()).collect()
    }

    /// The server of `/health`, `/ready` (200 once every route knows its instances), `/explain` (JSON) and `/metrics`.
    #[must_use]
    pub fn admin(&self) -> AdminServer {
        let places = Arc::clone(&self.places);
        admin::server(&View { plan_rx: self.plan_tx.subscribe(), places })
    }

    /// Waits until every route has its first list of instances, which may be empty. Cancel safe.
    pub async fn ready(&self) {
        self.known().await;
    }

    /// As [`Ambassador::ready`], for the routes as they are now.
    pub(crate) fn known(&self) -> impl Future<Output = ()> + use<> {
        let routes = Arc::clone(&self.plan_tx.borrow().routes);
        async move {
            for pool in routes.iter().filter_map(|route| route.pool.as_ref()) {
                // Fails only if its source ends, which that of a `Discovery` does not.
                pool.ready().await.ok();
            }
        }
    }

    /// Waits until a worker ends by itself, which is a fault of this program. Cancel safe.
    pub async fn failed(&mut self) {
        self.workers.ended().await;
    }

    /// Stops accepting, and waits until all connections have ended, at most this long. Those that are left are reset.
    pub async fn drain(mut self, within: Duration) {
        info!(connections = self.places.taken(), ?within, "draining");
        self.plan_tx.send_modify(|plan| plan.stage = Stage::Draining);
        if timeout(within, self.workers.all_ended()).await.is_err() {
            warn!(connections = self.places.taken(), "connections cut after the drain");
        }
    }
}

fn listening(route: &ActiveRoute) {
    info!(service = route.service(), listen = %route.listeners.at, target = %route.config.target, "listening");
}
