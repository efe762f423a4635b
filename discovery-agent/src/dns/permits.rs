//! Connection permits: how many there are, and which connection is closed when none is left.
//!
//! A connection is idle most of the time: it waits for the next question, or for the client to read an answer. So a new connection is never
//! refused. Instead, the connection without progress for the longest time is closed, of the client that has the most. A client that opens
//! connections without end closes its own.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// The maximum number of connections, of all clients.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// The maximum number of connections of one client: half, so that one client alone cannot close those of others.
pub(super) const CONNECTIONS_PER_CLIENT_MAX: usize = CONNECTIONS_MAX / 2;

/// All permits.
#[derive(Debug, Default)]
pub(super) struct Permits {
    held: Mutex<HashMap<u64, Arc<Held>>>,
    /// Counts steps of progress. A later step has a higher number.
    steps: AtomicU64,
}

#[derive(Debug)]
struct Held {
    client: IpAddr,
    /// The last step of progress.
    step: AtomicU64,
    revoked: Notify,
}

/// The permit of one connection. Dropping it releases it.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    id: u64,
    held: Arc<Held>,
}

impl Permits {
    /// Acquires a permit. If none is left, the permit of another connection is revoked.
    pub(super) fn acquire(self: &Arc<Self>, client: IpAddr) -> Permit {
        let id = self.step();
        let held = Arc::new(Held { client, step: AtomicU64::new(id), revoked: Notify::new() });
        let mut all = self.lock();
        if let Some(quietest) = longest_idle(&all, client)
            && let Some(revoked) = all.remove(&quietest)
        {
            revoked.revoked.notify_one();
        }
        all.insert(id, Arc::clone(&held));
        Permit { permits: Arc::clone(self), id, held }
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Records progress: a question was received or an answer was sent.
    pub(super) fn made_progress(&self) {
        self.held.step.store(self.permits.step(), Ordering::Relaxed);
    }

    /// Returns once the permit is revoked. Cancel safe.
    pub(super) async fn revoked(&self) {
        self.held.revoked.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.lock().remove(&self.id);
    }
}

/// The connection to close before this client gets one more, if any.
fn longest_idle(all: &HashMap<u64, Arc<Held>>, client: IpAddr) -> Option<u64> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for held in all.values() {
        *counts.entry(held.client).or_default() += 1;
    }
    let greedy = if counts.get(&client) >= Some(&CONNECTIONS_PER_CLIENT_MAX) {
        client
    } else if all.len() >= CONNECTIONS_MAX {
        *counts.iter().max_by_key(|(_, count)| **count)?.0
    } else {
        return None;
    };
    let of_it = all.iter().filter(|(_, held)| held.client == greedy);
    of_it.min_by_key(|(_, held)| held.step.load(Ordering::Relaxed)).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use std::{future::Future as _, pin::pin, task::Context, task::Poll, task::Waker};

    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, number])
    }

    fn acquire(permits: &Arc<Permits>, number: u8, count: usize) -> Vec<Permit> {
        (0..count).map(|_| permits.acquire(client(number))).collect()
    }

    fn is_revoked(permit: &Permit) -> bool {
        let poll = pin!(permit.revoked()).poll(&mut Context::from_waker(Waker::noop()));
        poll == Poll::Ready(())
    }

    /// The indexes of the revoked permits.
    fn revoked(permits: &[Permit]) -> Vec<usize> {
        (0..permits.len()).filter(|at| is_revoked(&permits[*at])).collect()
    }

    #[test]
    fn the_longest_idle_connection_of_a_client_at_its_limit_is_closed() {
        let permits = Arc::new(Permits::default());
        let others = acquire(&permits, 2, 10);
        let own = acquire(&permits, 1, CONNECTIONS_PER_CLIENT_MAX);
        assert_eq!(revoked(&own), [0; 0], "all have permits");
        own[0].made_progress();
        let _more = acquire(&permits, 1, 2);
        assert_eq!(revoked(&own), [1, 2], "the first was active since");
        assert_eq!(revoked(&others), [0; 0]);
    }

    #[test]
    fn without_permits_the_client_with_the_most_loses_one() {
        let permits = Arc::new(Permits::default());
        let greedy = acquire(&permits, 1, CONNECTIONS_PER_CLIENT_MAX);
        let modest = acquire(&permits, 2, CONNECTIONS_MAX - CONNECTIONS_PER_CLIENT_MAX - 1);
        let _last = acquire(&permits, 3, 1);
        let _more = acquire(&permits, 3, 1);
        assert_eq!((revoked(&greedy), revoked(&modest)), (vec![0], vec![]));
    }

    #[test]
    fn a_released_permit_is_free() {
        let permits = Arc::new(Permits::default());
        let mut own = acquire(&permits, 1, CONNECTIONS_PER_CLIENT_MAX);
        own.pop();
        own.extend(acquire(&permits, 1, 1));
        assert_eq!(revoked(&own), [0; 0]);
        drop(own);
        assert!(permits.lock().is_empty());
    }
}
