//! Places for connections: how many there are, and which connection gives its place up when they run short.
//!
//! Every connection waits for its client nearly all the time, be it for the next question or for room to write an answer. So a new connection is
//! never refused: the one that made no progress for the longest time is closed instead, of the client that has the most. A client that opens
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

/// So many connections at once, all clients together.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// So many of one client: half, so that no client alone can make others give way.
pub(super) const CONNECTIONS_PER_CLIENT_MAX: usize = CONNECTIONS_MAX / 2;

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<HashMap<u64, Arc<Taken>>>,
    /// Counts steps of progress. What happened later has the higher number.
    steps: AtomicU64,
}

#[derive(Debug)]
struct Taken {
    client: IpAddr,
    /// The last step of progress.
    step: AtomicU64,
    recalled: Notify,
}

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    taken: Arc<Taken>,
}

impl Places {
    /// Takes a place. If none is left, another connection has to give up its own.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Place {
        let id = self.step();
        let taken = Arc::new(Taken { client, step: AtomicU64::new(id), recalled: Notify::new() });
        let mut all = self.lock();
        if let Some(quietest) = quietest_in_the_way(&all, client)
            && let Some(recalled) = all.remove(&quietest)
        {
            recalled.recalled.notify_one();
        }
        all.insert(id, Arc::clone(&taken));
        Place { places: Arc::clone(self), id, taken }
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Taken>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A question came, or an answer went out.
    pub(super) fn made_progress(&self) {
        self.taken.step.store(self.places.step(), Ordering::Relaxed);
    }

    /// Returns once the place is another's.
    pub(super) async fn recalled(&self) {
        self.taken.recalled.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(&self.id);
    }
}

/// The connection that makes room for one more of this client, if one has to.
fn quietest_in_the_way(all: &HashMap<u64, Arc<Taken>>, client: IpAddr) -> Option<u64> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for taken in all.values() {
        *counts.entry(taken.client).or_default() += 1;
    }
    let greedy = if counts.get(&client) >= Some(&CONNECTIONS_PER_CLIENT_MAX) {
        client
    } else if all.len() >= CONNECTIONS_MAX {
        *counts.iter().max_by_key(|(_, count)| **count)?.0
    } else {
        return None;
    };
    let of_it = all.iter().filter(|(_, taken)| taken.client == greedy);
    of_it.min_by_key(|(_, taken)| taken.step.load(Ordering::Relaxed)).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use std::{future::Future as _, pin::pin, task::Context, task::Poll, task::Waker};

    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, number])
    }

    fn take(places: &Arc<Places>, number: u8, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.take(client(number))).collect()
    }

    fn is_recalled(place: &Place) -> bool {
        let poll = pin!(place.recalled()).poll(&mut Context::from_waker(Waker::noop()));
        poll == Poll::Ready(())
    }

    /// Which of these are recalled.
    fn recalled(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|at| is_recalled(&places[*at])).collect()
    }

    #[test]
    fn the_quietest_of_a_client_with_too_many_gives_way() {
        let places = Arc::new(Places::default());
        let others = take(&places, 2, 10);
        let own = take(&places, 1, CONNECTIONS_PER_CLIENT_MAX);
        assert_eq!(recalled(&own), [0; 0], "all have room");
        own[0].made_progress();
        let _more = take(&places, 1, 2);
        assert_eq!(recalled(&own), [1, 2], "the first was active since");
        assert_eq!(recalled(&others), [0; 0]);
    }

    #[test]
    fn when_all_places_are_taken_the_client_with_the_most_gives_way() {
        let places = Arc::new(Places::default());
        let greedy = take(&places, 1, CONNECTIONS_PER_CLIENT_MAX);
        let modest = take(&places, 2, CONNECTIONS_MAX - CONNECTIONS_PER_CLIENT_MAX - 1);
        let _last = take(&places, 3, 1);
        let _more = take(&places, 3, 1);
        assert_eq!((recalled(&greedy), recalled(&modest)), (vec![0], vec![]));
    }

    #[test]
    fn a_place_given_back_is_free() {
        let places = Arc::new(Places::default());
        let mut own = take(&places, 1, CONNECTIONS_PER_CLIENT_MAX);
        own.pop();
        own.extend(take(&places, 1, 1));
        assert_eq!(recalled(&own), [0; 0]);
        drop(own);
        assert!(places.lock().is_empty());
    }
}
