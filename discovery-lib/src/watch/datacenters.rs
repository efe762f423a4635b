//! What a poller asks: the backends of its query, or with a failover those of each datacenter in order. It makes no decision of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{select, sync::Notify, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::{
    backends::{Backends, Reach, all_failed},
    failover::{Event, Failover, has_enough},
    machine::Notice,
    snapshot::Snapshot,
    task,
};
use crate::{Error, Query, Random, later::reached};

/// The backends of each datacenter of a query, in order. At least one.
#[derive(Debug, Clone)]
pub(super) struct Datacenters {
    query: Query,
    sites: Vec<(Option<Arc<str>>, Backends)>,
}

/// The last notice of each datacenter that was not taken yet. A later one replaces it: each notice is complete.
#[derive(Debug, Default)]
struct Notices {
    latest: Mutex<BTreeMap<usize, Notice>>,
    added: Notify,
}

impl Datacenters {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// One of the sources can't express the query, or the failover can't be used: names the part.
    pub(super) fn new(query: &Query, reach: &Reach) -> Result<Self, Error> {
        let site = |query: Query| {
            let backends = Backends::new(&query, reach)?;
            Ok((query.datacenter, backends))
        };
        if !query.failover.is_empty() {
            // Its sources must be able to express it.
            Backends::new(query, reach)?;
        }
        let sites = query.by_datacenter()?.into_iter().map(site).collect::<Result<_, Error>>()?;
        Ok(Self { query: query.clone(), sites })
    }

    /// Watches until it is dropped.
    pub(super) async fn watch(self, publish: impl Fn(Notice), random: Random) {
        match &self.sites[..] {
            [(_, backends)] => task::watch(backends.clone(), publish, random).await,
            _ => self.watch_in_order(publish, random).await,
        }
    }

    async fn watch_in_order(self, publish: impl Fn(Notice), random: Random) {
        let below = self.query.failover_below;
        let notices = Arc::new(Notices::default());
        let mut machine = Failover::new(self.sites.len(), below, Instant::now());
        let (mut tasks, mut event) = (Vec::new(), Event::Due);
        loop {
            let before = machine.used();
            let step = machine.step(event, Instant::now());
            self.log_move(before, machine.used());
            if let Some(notice) = step.publish {
                publish(notice);
            }
            tasks.truncate(step.watched);
            for (position, (_, backends)) in
                self.sites.iter().enumerate().take(step.watched).skip(tasks.len())
            {
                let notices = Arc::clone(&notices);
                let watch = task::watch(
                    backends.clone(),
                    move |it| notices.add(position, it),
                    random.fork(),
                );
                tasks.push(AbortOnDropHandle::new(tokio::spawn(watch)));
            }
            event = select! {
                (position, notice) = notices.next() => Event::Noticed(position, notice),
                () = reached(step.again_at) => Event::Due,
            };
        }
    }

    /// Queries the current state once: in the order of the datacenters, until one has enough instances.
    ///
    /// # Errors
    /// All failed.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Error> {
        let (mut first, mut errors) = (None, Vec::new());
        for (_, backends) in &self.sites {
            match backends.snapshot().await {
                Ok(snapshot) if has_enough(&snapshot, self.query.failover_below) => {
                    return Ok(snapshot);
                }
                Ok(snapshot) => first = first.or(Some(snapshot)),
                Err(error) => errors.push(error),
            }
        }
        first.ok_or_else(|| all_failed(errors))
    }

    /// The endpoints that it queries, for errors. They are the same for each datacenter: the agent forwards the queries.
    pub(super) fn endpoints(&self) -> String {
        self.sites.first().map_or_else(String::new, |(_, backends)| backends.endpoints())
    }

    /// The snapshot of a fixed list alone, which never changes.
    pub(super) fn fixed(&self) -> Option<Snapshot> {
        self.sites.first()?.1.fixed()
    }

    fn log_move(&self, before: Option<usize>, used: Option<usize>) {
        let (Some(before), Some(used)) = (before, used) else { return };
        if before == used {
            return;
        }
        let name = |position: usize| {
            self.sites.get(position).and_then(|(name, _)| name.as_deref()).unwrap_or("of the agent")
        };
        let service = &*self.query.service;
        warn!(
            service,
            datacenter = name(used),
            before = name(before),
            "instances of another datacenter are used"
        );
    }
}

impl Notices {
    fn add(&self, position: usize, notice: Notice) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(position, notice);
        self.added.notify_one();
    }

    async fn next(&self) -> (usize, Notice) {
        loop {
            let next = self.latest.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match next {
                Some(next) => return next,
                None => self.added.notified().await,
            }
        }
    }
}
