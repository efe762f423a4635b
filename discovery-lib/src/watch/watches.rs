//! The watches of one program: one poller per query, shared by all its watches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    backends::Reach,
    datacenters::Datacenters,
    disk::{self, Snapshots},
    dns::DnsServer,
    handle::{Poller, Watch},
    machine::Notice,
    permits::Permits,
    publish::Publisher,
    snapshot::Snapshot,
    source::Source,
};
use crate::{
    Error, Query, Random, Settings,
    agent::AgentClient,
    lifetime::{Background, Work, make_room},
};

/// Pollers that may linger without a watch. Above that the one that was dropped first ends early; pollers with a watch don't count.
pub(crate) const LINGERING_MAX: usize = 256;

/// The watches of one program. Cheap to clone; clones share pollers and permits. Two of them share nothing.
#[derive(Debug, Clone)]
pub(crate) struct Watches {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reach: Reach,
    source: Source,
    datacenter: Option<Arc<str>>,
    random: Random,
    snapshots: Option<Snapshots>,
    pollers: Mutex<HashMap<Query, Arc<Poller>>>,
}

impl Watches {
    /// Watches of services that this agent, and the DNS server of the settings, know. They keep their snapshots on disk, if there is a place.
    /// Connects to nothing yet.
    pub(crate) fn new(
        agent: AgentClient,
        settings: &Settings,
        random: Random,
        snapshots: Option<Snapshots>,
    ) -> Self {
        let dns = Arc::new(DnsServer::new(settings.dns.clone()));
        let reach = Reach { agent, dns, permits: Arc::new(Permits::new()) };
        let (source, datacenter) = (settings.source.clone(), settings.datacenter.as_deref());
        let (datacenter, pollers) = (datacenter.map(Into::into), Mutex::default());
        let inner = Inner { reach, source, datacenter, random, snapshots, pollers };
        Self { inner: Arc::new(inner) }
    }

    /// The query with the source and datacenter of the settings, where it has none.
    pub(crate) fn complete(&self, mut query: Query) -> Query {
        let Inner { source, datacenter, .. } = &*self.inner;
        query.source.get_or_insert_with(|| source.clone());
        query.datacenter = query.datacenter.or_else(|| datacenter.clone());
        query
    }

    /// A watch of a complete query. The first one starts the poller, others share it, and it lingers this long after the last one is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn watch(&self, query: &Query, linger: Duration) -> Watch {
        let datacenters = match self.datacenters(query) {
            Ok(datacenters) => datacenters,
            Err(error) => return constant(query, move || Notice::Failure(error.clone())),
        };
        if let Some(snapshot) = datacenters.fixed() {
            return constant(query, move || Notice::Answer(snapshot.clone()));
        }
        let mut pollers = self.inner.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(poller) = pollers.get(query) {
            return Watch::new(poller.clone(), linger);
        }
        // This removes pollers that ended, too.
        make_room(&mut pollers, LINGERING_MAX, |poller| poller.task.usage());
        let (service, random) = (query.service.clone(), self.inner.random.clone());
        let file = self.inner.snapshots.as_ref().map(|snapshots| snapshots.file(query));
        let start = move || {
            let (publisher, watched_rx) = Publisher::new(service.clone());
            let (datacenters, random) = (datacenters.clone(), random.fork());
            let work: Work = match file.clone() {
                Some(file) => Box::pin(disk::watch(datacenters, publisher, random, file)),
                None => Box::pin(datacenters.watch(move |it| publisher.publish(it), random)),
            };
            (watched_rx, work)
        };
        let poller = Arc::new(Poller { task: Background::new(start, || {}) });
        let watch = Watch::new(poller.clone(), linger);
        pollers.insert(query.clone(), poller);
        watch
    }

    /// Sends a complete query once, without waiting for a change.
    ///
    /// # Errors
    /// No answer (in time), an answer that can't be used, or a query that its source can't express.
    pub(crate) async fn ask(&self, query: &Query) -> Result<Snapshot, Error> {
        self.datacenters(query)?.snapshot().await
    }

    /// Whether the source of a complete query can express it.
    ///
    /// # Errors
    /// It can't.
    pub(crate) fn check(&self, query: &Query) -> Result<(), Error> {
        self.datacenters(query).map(drop)
    }

    /// The endpoints that a complete query is sent to, for errors.
    pub(crate) fn endpoints(&self, query: &Query) -> String {
        self.datacenters(query).map_or_else(|_| "nothing".to_owned(), |it| it.endpoints())
    }

    fn datacenters(&self, query: &Query) -> Result<Datacenters, Error> {
        Datacenters::new(query, &self.inner.reach)
    }
}

/// A watch that publishes one notice at once and never another.
fn constant(query: &Query, notice: impl Fn() -> Notice + Send + Sync + 'static) -> Watch {
    let service = query.service.clone();
    let start = move || {
        let (publisher, watched_rx) = Publisher::new(service.clone());
        publisher.publish(notice());
        let idle = async move {
            std::future::pending::<()>().await;
            drop(publisher);
        };
        (watched_rx, Box::pin(idle) as _)
    };
    let poller = Poller { task: Background::new(start, || {}) };
    Watch::new(Arc::new(poller), Duration::ZERO)
}

#[cfg(test)]
mod tests;
