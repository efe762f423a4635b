//! Who waits for what: one bell per topic, rung when the topic's answer changes. Who stops waiting leaves nothing behind.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::state::Topic;

/// How many may wait at once, all topics together: far above what the limit of connections per client lets a machine's programs reach.
pub(crate) const WAITERS_MAX: usize = 16_384;

/// All who wait.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bells: HashMap<Topic, Bell>,
    count: usize,
}

#[derive(Debug, Default)]
struct Bell {
    rings: Arc<Notify>,
    waiting: usize,
}

/// One who waits. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    topic: Topic,
    rings: Arc<Notify>,
}

impl Waiters {
    /// Takes a place; `None` when all of [`WAITERS_MAX`] are taken.
    pub(crate) fn join(&self, topic: &Topic) -> Option<Waiter<'_>> {
        let mut waiting = self.lock();
        if waiting.count >= WAITERS_MAX {
            return None;
        }
        waiting.count += 1;
        let bell = waiting.bells.entry(topic.clone()).or_default();
        bell.waiting += 1;
        Some(Waiter { waiters: self, topic: topic.clone(), rings: Arc::clone(&bell.rings) })
    }

    /// Wakes everybody who waits for one of these.
    pub(crate) fn ring<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) {
        let waiting = self.lock();
        for topic in topics {
            if let Some(bell) = waiting.bells.get(topic) {
                bell.rings.notify_waiters();
            }
        }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Returns once `done` holds, which is looked at now and whenever the bell rings. Cancel safe.
    pub(crate) async fn until(&self, done: impl Fn() -> bool) {
        loop {
            // Enabled before looking, so that a ring in between is not missed.
            let mut ring = std::pin::pin!(self.rings.notified());
            ring.as_mut().enable();
            if done() {
                return;
            }
            ring.await;
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        waiting.count -= 1;
        if let Some(bell) = waiting.bells.get_mut(&self.topic) {
            bell.waiting -= 1;
            if bell.waiting == 0 {
                waiting.bells.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_place_is_given_back_and_leaves_nothing() {
        let waiters = Waiters::default();
        let one = waiters.join(&Topic::Services).unwrap();
        let two = waiters.join(&Topic::Services).unwrap();
        assert_eq!(waiters.count(), 2);
        drop(one);
        assert_eq!((waiters.count(), waiters.lock().bells.len()), (1, 1));
        drop(two);
        assert_eq!((waiters.count(), waiters.lock().bells.len()), (0, 0));
    }

    #[test]
    fn one_too_many_has_no_place() {
        let waiters = Waiters::default();
        let mut places: Vec<_> =
            (0..WAITERS_MAX).map(|_| waiters.join(&Topic::Services).unwrap()).collect();
        assert!(waiters.join(&Topic::Nodes).is_none());
        places.pop();
        assert!(waiters.join(&Topic::Nodes).is_some());
    }

    #[tokio::test]
    async fn a_ring_wakes_who_waits_for_that_topic() {
        let waiters = Arc::new(Waiters::default());
        let done = Arc::new(AtomicBool::new(false));
        let (waits, until) = (Arc::clone(&waiters), Arc::clone(&done));
        let task = tokio::spawn(async move {
            waits.join(&Topic::Services).unwrap().until(|| until.load(Ordering::SeqCst)).await;
        });
        while waiters.count() == 0 {
            tokio::task::yield_now().await;
        }
        waiters.ring(&[Topic::Nodes, Topic::Services]);
        tokio::task::yield_now().await;
        assert!(!task.is_finished(), "woken, and found that it does not hold");
        done.store(true, Ordering::SeqCst);
        waiters.ring(&[Topic::Services]);
        task.await.unwrap();
    }
}
