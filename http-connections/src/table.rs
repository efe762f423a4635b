//! All places of a server, and the rules by which connections are ended.

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

use crate::place::{Phase, Place, Slot};

/// The interval at which connections are checked for exceeded time limits.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// One of this number of places is kept free by ending connections without a request in hand.
const SPARE: usize = 32;

/// The limits of a server's connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum number of connections. When almost all places are taken, connections without a request in hand are ended; when all have
    /// one in hand, new connections wait in the kernel's backlog.
    pub places: usize,
    /// The maximum number of connections per client address; None for no limit. A further connection ends one of the same address that has no
    /// request in hand, or is reset. Behind a gateway or NAT many clients share one address.
    pub per_client: Option<usize>,
    /// The maximum time from the first byte of a head to its end.
    pub head: Duration,
    /// The maximum time without any byte in either direction, between two requests.
    pub quiet: Duration,
}

impl Limits {
    /// `most` places, but at most half of the process's limit of file descriptors: an incoming request may need an outgoing connection.
    pub fn places(most: usize) -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(descriptors / 2).unwrap_or(usize::MAX).clamp(1, most)
    }
}

/// All places of a server.
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
    places: BTreeMap<u64, Arc<Slot>>,
    /// The number of those that need not end, in total and per client.
    staying: usize,
    clients: HashMap<IpAddr, usize>,
}

impl Table {
    pub(crate) fn new(limits: Limits, stop: CancellationToken) -> Self {
        let (clock, inner, freed) = Default::default();
        Self { limits, clock, stop, inner, freed }
    }

    /// A place for a new connection; `None` if its client is at its limit with requests in hand on all connections.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut inner = self.lock();
        if let Some(most) = self.limits.per_client
            && inner.clients.get(&client).is_some_and(|count| *count >= most)
            && !inner.end_weakest(|slot| slot.client == client)
        {
            return None;
        }
        let slot = Slot::new(client, Arc::clone(&self.clock), self.stop.child_token());
        let (number, slot) = (inner.next, Arc::new(slot));
        inner.next += 1;
        inner.places.insert(number, Arc::clone(&slot));
        inner.staying += 1;
        *inner.clients.entry(client).or_default() += 1;
        Some(Place { number, slot, table: Arc::clone(self) })
    }

    pub(crate) fn leave(&self, number: u64) {
        let mut inner = self.lock();
        if let Some(slot) = inner.places.remove(&number) {
            inner.stays_no_longer(&slot);
        }
        drop(inner);
        self.freed.notify_one();
    }

    /// Returns once there is a place for another connection.
    pub(crate) async fn room(&self) {
        while self.lock().places.len() >= self.limits.places {
            self.freed.notified().await;
        }
    }

    /// Ends connections so that places stay free. Returns whether any was ended.
    pub(crate) fn make_room(&self) -> bool {
        let spare = (self.limits.places / SPARE).max(1);
        let mut inner = self.lock();
        let mut made = false;
        while inner.staying > self.limits.places - spare {
            if !inner.end_weakest(|_| true) {
                break;
            }
            made = true;
        }
        made
    }

    /// Ends some connections even if there are free places: another resource, such as file descriptors, is exhausted.
    pub(crate) fn give_way(&self) {
        let mut inner = self.lock();
        for _ in 0..(inner.places.len() / SPARE).max(1) {
            inner.end_weakest(|_| true);
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
            .places
            .values()
            .filter(|slot| match slot.phase() {
                Phase::Quiet(since) => is_over(since, self.limits.quiet),
                Phase::Head(since) => is_over(since, self.limits.head),
                Phase::Body(_) | Phase::InHand => false,
            })
            .cloned()
            .collect();
        for slot in over {
            inner.end(&slot);
        }
    }

    /// Whether the server is stopping.
    pub(crate) fn stops(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().places.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Ends one connection without a request in hand: first one that never had any, then the one that is inactive for longest, then the oldest.
    /// False if there is none.
    fn end_weakest(&mut self, among: impl Fn(&Slot) -> bool) -> bool {
        let weakest = self
            .places
            .values()
            .filter(|slot| slot.stays() && among(slot))
            .filter_map(|slot| match slot.phase() {
                Phase::Quiet(since) | Phase::Head(since) | Phase::Body(since) => {
                    Some((slot.has_served(), since, slot))
                }
                Phase::InHand => None,
            })
            .min_by_key(|(has_served, since, _)| (*has_served, *since))
            .map(|(.., slot)| Arc::clone(slot));
        weakest.inspect(|slot| self.end(slot)).is_some()
    }

    fn end(&mut self, slot: &Slot) {
        slot.end.cancel();
        self.stays_no_longer(slot);
    }

    fn stays_no_longer(&mut self, slot: &Slot) {
        if !slot.stop_staying() {
            return;
        }
        self.staying -= 1;
        if let Some(count) = self.clients.get_mut(&slot.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&slot.client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
