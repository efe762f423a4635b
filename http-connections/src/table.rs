//! The connections of a server, and the rules by which connections are ended.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::permit::{Entry, Permit, Phase};

/// The interval at which connections are checked for exceeded time limits.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// One of this number of permits is kept free by ending connections without a request in progress.
const SPARE: usize = 32;

/// The limits of a server's connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum number of connections. When almost all permits are in use, connections without a request in progress are ended; when all have
    /// one in progress, new connections wait in the kernel's backlog.
    pub connections: usize,
    /// The maximum number of connections per client address; None for no limit. A further connection ends one of the same address that has no
    /// request in progress, or is reset. Behind a gateway or NAT many clients share one address.
    pub per_client: Option<usize>,
    /// The maximum time from the first byte of a head to its end.
    pub head: Duration,
    /// The maximum time without any byte in either direction, between two requests.
    pub idle: Duration,
}

impl Limits {
    /// `most` connections, but at most half of the process's limit of file descriptors: an incoming request may need an outgoing connection.
    pub fn connections(most: usize) -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(descriptors / 2).unwrap_or(usize::MAX).clamp(1, most)
    }
}

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    clock: Arc<AtomicU32>,
    stop: CancellationToken,
    inner: Mutex<Inner>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// By age, including those that must end and are still open.
    entries: BTreeMap<u64, Arc<Entry>>,
    /// The number of those that need not end, in total and per client.
    open: usize,
    clients: HashMap<IpAddr, usize>,
}

impl Table {
    pub(crate) fn new(limits: Limits, stop: CancellationToken) -> Self {
        let (clock, inner, freed) = Default::default();
        Self { limits, clock, stop, inner, freed }
    }

    /// A permit for a new connection; `None` if its client is at its limit with requests in progress on all connections.
    pub(crate) fn acquire(self: &Arc<Self>, client: IpAddr) -> Option<Permit> {
        let mut inner = self.lock();
        if let Some(most) = self.limits.per_client
            && inner.clients.get(&client).is_some_and(|count| *count >= most)
            && !inner.evict(|entry| entry.client == client)
        {
            return None;
        }
        let entry = Entry::new(client, Arc::clone(&self.clock), self.stop.child_token());
        let (number, entry) = (inner.next, Arc::new(entry));
        inner.next += 1;
        inner.entries.insert(number, Arc::clone(&entry));
        inner.open += 1;
        *inner.clients.entry(client).or_default() += 1;
        Some(Permit { number, entry, table: Arc::clone(self) })
    }

    pub(crate) fn release(&self, number: u64) {
        let mut inner = self.lock();
        if let Some(entry) = inner.entries.remove(&number) {
            inner.uncount(&entry);
        }
        drop(inner);
        self.freed.notify_one();
    }

    /// Returns once another connection can have a permit.
    pub(crate) async fn room(&self) {
        while self.lock().entries.len() >= self.limits.connections {
            self.freed.notified().await;
        }
    }

    /// Ends connections so that permits stay free. Returns whether any was ended.
    pub(crate) fn make_room(&self) -> bool {
        let spare = (self.limits.connections / SPARE).max(1);
        let mut inner = self.lock();
        let mut made = false;
        while inner.open > self.limits.connections - spare {
            if !inner.evict(|_| true) {
                break;
            }
            made = true;
        }
        made
    }

    /// Ends some connections even if there are free permits: another resource, such as file descriptors, is exhausted.
    pub(crate) fn shed(&self) {
        let mut inner = self.lock();
        for _ in 0..(inner.entries.len() / SPARE).max(1) {
            inner.evict(|_| true);
        }
    }

    /// Advances the clock by one [`TICK`], and ends the connections that exceed a time limit.
    pub(crate) fn tick(&self) {
        let now = self.clock.fetch_add(1, Relaxed).wrapping_add(1);
        let is_over = |since: u32, limit: Duration| {
            // The tick in which it began counts only in part.
            Duration::from_secs(now.wrapping_sub(since).saturating_sub(1).into()) >= limit
        };
        let mut inner = self.lock();
        let over: Vec<_> = inner
            .entries
            .values()
            .filter(|entry| match entry.phase() {
                Phase::Idle(since) => is_over(since, self.limits.idle),
                Phase::Head(since) => is_over(since, self.limits.head),
                Phase::Body(_) | Phase::InProgress => false,
            })
            .cloned()
            .collect();
        for entry in over {
            inner.end(&entry);
        }
    }

    /// Whether the server is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Ends one connection without a request in progress: first one that never had any, then the one that is inactive for longest, then the oldest.
    /// False if there is none.
    fn evict(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let first = self
            .entries
            .values()
            .filter(|entry| entry.is_open() && among(entry))
            .filter_map(|entry| match entry.phase() {
                Phase::Idle(since) | Phase::Head(since) | Phase::Body(since) => {
                    Some((entry.has_served(), since, entry))
                }
                Phase::InProgress => None,
            })
            .min_by_key(|(has_served, since, _)| (*has_served, *since))
            .map(|(.., entry)| Arc::clone(entry));
        first.inspect(|entry| self.end(entry)).is_some()
    }

    fn end(&mut self, entry: &Entry) {
        entry.end.cancel();
        self.uncount(entry);
    }

    fn uncount(&mut self, entry: &Entry) {
        if !entry.mark_closing() {
            return;
        }
        self.open -= 1;
        if let Some(count) = self.clients.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&entry.client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
