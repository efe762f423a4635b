//! The handle of a running ambassador: starts it, changes its routes, drains it.

use std::{sync::Arc, time::Duration};

use discovery::{Discovery, serve::AdminServer};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::{
    Config, Error, Listen, Takeover,
    admin::{self, View},
    config::{Diff, Step},
    connection_limit::ConnectionLimit,
    descriptors,
    listen::Listeners,
    route::ActiveRoute,
    takeover::{self, Inherited},
    worker::{Plan, Shared, Stage, Workers},
};

/// The time until a successor must know the instances of its routes.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// A running ambassador. Dropping it closes its ports and resets its connections.
#[derive(Debug)]
pub struct Ambassador {
    discovery: Discovery,
    plan_tx: watch::Sender<Plan>,
    /// The limit on all connections.
    limit: Arc<ConnectionLimit>,
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
        Self::start_with(config, discovery, threads, &mut Inherited::default())
    }

    /// As [`Ambassador::start`], with the sockets of the predecessor, if there is one: it serves them until the instances of all routes are
    /// known here, and then no more. Sockets that it has and this configuration does not are closed by it.
    ///
    /// # Errors
    /// As [`Ambassador::start`]; or the instances are not known within 30 s. The predecessor continues as before.
    ///
    /// # Panics
    /// Outside of a tokio runtime. The pools are fed by that runtime.
    pub async fn take_over(
        config: &Config,
        discovery: Discovery,
        threads: usize,
        takeover: &mut Takeover,
    ) -> Result<Self, Error> {
        if takeover.has_predecessor() {
            timeout(KNOWN_WITHIN, known(config, &discovery)).await.map_err(|_| {
                Error::system(format!(
                    "the instances are not known after {KNOWN_WITHIN:?}: the running ambassador continues"
                ))
            })?;
        }
        let mut inherited = takeover.inherit();
        let this = Self::start_with(config, discovery, threads, &mut inherited)?;
        let routes = Arc::clone(&this.plan_tx.borrow().routes);
        let served: Vec<&Listen> = routes.iter().map(|route| &route.listeners.at).collect();
        takeover.taken(&served, inherited).await?;
        routes.iter().for_each(|route| route.listeners.own_path());
        Ok(this)
    }

    fn start_with(
        config: &Config,
        discovery: Discovery,
        threads: usize,
        inherited: &mut Inherited,
    ) -> Result<Self, Error> {
        let threads = threads.max(1);
        let limit = ConnectionLimit::new(descriptors::possible(config.connections_max));
        let routes = config.routes.iter().map(|route| {
            let listeners = match inherited.take(&route.listen) {
                Some(sockets) => Listeners::adopt(route.listen.clone(), sockets),
                None => Listeners::bind(&route.listen, threads)?,
            };
            Ok(Arc::new(ActiveRoute::new(route.clone(), listeners, &discovery, threads)))
        });
        let routes = routes.collect::<Result<Arc<[_]>, Error>>()?;
        routes.iter().for_each(|route| listening(route));
        let (plan_tx, plan_rx) = watch::channel(Plan { routes, stage: Stage::Serving });
        let shared = Shared { discovery: discovery.clone(), limit: Arc::clone(&limit) };
        let workers = Workers::start(threads, &plan_rx, &shared)?;
        Ok(Self { discovery, plan_tx, limit, workers })
    }

    /// Serves other routes and limits from now on, all or nothing. Routes with the same [`Listen`] keep their sockets; removed ones stop
    /// accepting, and their connections may continue for the time of [`linger`](crate::RouteOptions::linger).
    ///
    /// # Errors
    /// A new port is in use or needs privileges. Nothing has changed then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn apply(&self, config: &Config) -> Result<(), Error> {
        let old = self.plan_tx.borrow().routes.clone();
        let diff = Diff::between(old.iter().map(|route| &route.config), &config.routes);
        let count = self.workers.count();
        // All sockets are bound before anything changes.
        let bound = config.routes.iter().zip(&diff.steps).map(|(route, step)| match step {
            Step::Add => Listeners::bind(&route.listen, count).map(Some),
            Step::Keep(_) | Step::Change(_) => Ok(None),
        });
        let mut bound = bound.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten();
        let routes = config.routes.iter().zip(&diff.steps).filter_map(|(route, step)| {
            let route = match *step {
                Step::Keep(number) => return Some(Arc::clone(&old[number])),
                Step::Change(number) => old[number].with(route.clone(), &self.discovery),
                Step::Add => ActiveRoute::new(route.clone(), bound.next()?, &self.discovery, count),
            };
            listening(&route);
            Some(Arc::new(route))
        });
        let routes = routes.collect();
        self.limit.set_max(descriptors::possible(config.connections_max));
        self.plan_tx.send_modify(|plan| plan.routes = routes);
        for route in diff.removed.into_iter().map(|number| &old[number]) {
            info!(service = route.service(), listen = %route.listeners.at, "no longer listening");
            route.listeners.close();
        }
        Ok(())
    }

    /// Waits until a successor serves the sockets of this ambassador. Then end it with [`Ambassador::retire`]. A successor that fails changes
    /// nothing. Cancel safe, unless a successor is about to take over: that one fails then.
    ///
    /// # Errors
    /// The socket for takeovers can't be used.
    pub fn successor<'t>(
        &self,
        takeover: &'t Takeover,
    ) -> impl Future<Output = Result<(), Error>> + use<'t> {
        let plan_rx = self.plan_tx.subscribe();
        async move {
            let Some(own) = takeover.own() else { return std::future::pending().await };
            let waited = takeover::successor(own, plan_rx).await;
            waited.map_err(|err| Error::system(format!("cannot listen for a successor: {err}")))
        }
    }

    /// Where the routes listen, in their order, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listen> {
        self.plan_tx.borrow().routes.iter().map(|route| route.listeners.at.clone()).collect()
    }

    /// The server of `/health`, `/ready` (200 once every route knows its instances), `/explain` (JSON) and `/metrics`.
    #[must_use]
    pub fn admin(&self) -> AdminServer {
        let limit = Arc::clone(&self.limit);
        admin::server(&View { plan_rx: self.plan_tx.subscribe(), limit })
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
        info!(connections = self.limit.in_use(), ?within, "draining");
        self.stop();
        if timeout(within, self.workers.all_ended()).await.is_err() {
            warn!(connections = self.limit.in_use(), "connections cut after the drain");
        }
    }

    /// Stops accepting, and waits until all connections have ended. Each may continue for the time of [`linger`](crate::RouteOptions::linger).
    /// Cancel safe; [`Ambassador::drain`] ends it earlier.
    pub async fn retire(&mut self) {
        info!(connections = self.limit.in_use(), "retiring");
        self.stop();
        self.workers.all_ended().await;
    }

    fn stop(&self) {
        self.plan_tx.send_modify(|plan| plan.stage = Stage::Draining);
        self.plan_tx.borrow().routes.iter().for_each(|route| route.listeners.close());
    }
}

/// Waits until the instances of all routes are known.
async fn known(config: &Config, discovery: &Discovery) {
    for query in config.routes.iter().filter_map(|route| route.target.query()) {
        // Fails only if its source ends, which that of a `Discovery` does not.
        discovery.pool(query.clone()).ready().await.ok();
    }
}

fn listening(route: &ActiveRoute) {
    info!(service = route.service(), listen = %route.listeners.at, target = %route.config.target, "listening");
}
