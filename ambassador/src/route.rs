//! A route in service: its configuration, sockets, pool, limit and counters.

use std::sync::{Arc, Mutex, PoisonError};

use discovery::{Discovery, Pool};
use http_connections::RateLimit;
use tokio::time::Instant;

use crate::{
    Listen, Route, Target, connection_limit::ConnectionLimit, counters::Counters, listen::Listeners,
};

/// A route that workers serve. It never changes: with other options or another service, it is replaced by one that has the same sockets.
#[derive(Debug)]
pub(crate) struct ActiveRoute {
    pub(crate) config: Route,
    pub(crate) listeners: Arc<Listeners>,
    /// None if each request names its service.
    pub(crate) pool: Option<Pool>,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// One per worker.
    pub(crate) counters: Arc<[Counters]>,
    /// Limits what is logged about refused connections.
    warned: Mutex<RateLimit>,
}

impl ActiveRoute {
    /// A route with new sockets.
    pub(crate) fn new(
        config: Route,
        listeners: Listeners,
        discovery: &Discovery,
        workers: usize,
    ) -> Self {
        let pool = pool(&config, discovery);
        let limit = ConnectionLimit::new(config.options.connections_max);
        let counters = (0..workers).map(|_| Counters::default()).collect();
        Self {
            config,
            listeners: Arc::new(listeners),
            pool,
            limit,
            counters,
            warned: Mutex::default(),
        }
    }

    /// The same sockets, connections and counters with another configuration.
    pub(crate) fn with(&self, config: Route, discovery: &Discovery) -> Self {
        self.limit.set_max(config.options.connections_max);
        Self {
            pool: pool(&config, discovery),
            listeners: Arc::clone(&self.listeners),
            limit: Arc::clone(&self.limit),
            counters: Arc::clone(&self.counters),
            warned: Mutex::default(),
            config,
        }
    }

    /// Whether a refused connection is to be logged: once a minute.
    pub(crate) fn may_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.is_due(Instant::now())
    }

    /// Whether its connections are HTTP.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.config.target, Target::Http(_) | Target::HttpByHost)
    }

    /// Whether it relays datagrams.
    pub(crate) fn is_udp(&self) -> bool {
        matches!(self.config.listen, Listen::Udp(_))
    }

    /// The name of the service in logs.
    pub(crate) fn service(&self) -> &str {
        self.config.target.query().map_or("*", |query| &query.service)
    }
}

fn pool(config: &Route, discovery: &Discovery) -> Option<Pool> {
    config.target.query().map(|query| discovery.pool(query.clone()))
}
