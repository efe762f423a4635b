//! Waiters for topics: one notifier per topic, notified when the topic's answer changes. A waiter that is dropped leaves nothing behind.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::state::Topic;

/// The maximum number of waiters of all topics: far above what the limit of connections per client allows on one machine.
pub(crate) const WAITERS_MAX: usize = 16_384;

/// All waiters.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    topics: HashMap<Topic, Notifier>,
    count: usize,
}

#[derive(Debug, Default)]
struct Notifier {
    changed: Arc<Notify>,
    waiting: usize,
}

/// One waiter. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    topic: Topic,
    changed: Arc<Notify>,
}

impl Waiters {
    /// Adds a waiter; `None` if there are [`WAITERS_MAX`] already.
    pub(crate) fn join(&self, topic: &Topic) -> Option<Waiter<'_>> {
        let mut waiting = self.lock();
        if waiting.count >= WAITERS_MAX {
            return None;
        }
        waiting.count += 1;
        let notifier = waiting.topics.entry(topic.clone()).or_default();
        notifier.waiting += 1;
        Some(Waiter { waiters: self, topic: topic.clone(), changed: Arc::clone(&notifier.changed) })
    }

    /// Wakes the waiters of these topics.
    pub(crate) fn notify<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) {
        let waiting = self.lock();
        for topic in topics {
            if let Some(notifier) = waiting.topics.get(topic) {
                notifier.changed.notify_waiters();
            }
        }
    }

    /// The number of waiters.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Returns once `done` holds, which is evaluated now and after each notification. Cancel safe.
    pub(crate) async fn until(&self, done: impl Fn() -> bool) {
        loop {
            // Enabled before the evaluation, so that a notification in between is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if done() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        waiting.count -= 1;
        if let Some(notifier) = waiting.topics.get_mut(&self.topic) {
            notifier.waiting -= 1;
            if notifier.waiting == 0 {
                waiting.topics.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_dropped_waiter_leaves_nothing_behind() {
        let waiters = Waiters::default();
        let one = waiters.join(&Topic::Services).unwrap();
        let two = waiters.join(&Topic::Services).unwrap();
        assert_eq!(waiters.count(), 2);
        drop(one);
        assert_eq!((waiters.count(), waiters.lock().topics.len()), (1, 1));
        drop(two);
        assert_eq!((waiters.count(), waiters.lock().topics.len()), (0, 0));
    }

    #[test]
    fn waiters_are_limited() {
        let waiters = Waiters::default();
        let mut joined: Vec<_> =
            (0..WAITERS_MAX).map(|_| waiters.join(&Topic::Services).unwrap()).collect();
        assert!(waiters.join(&Topic::Nodes).is_none());
        joined.pop();
        assert!(waiters.join(&Topic::Nodes).is_some());
    }

    #[tokio::test]
    async fn a_notification_wakes_the_waiters_of_its_topic() {
        let waiters = Arc::new(Waiters::default());
        let done = Arc::new(AtomicBool::new(false));
        let (waits, until) = (Arc::clone(&waiters), Arc::clone(&done));
        let task = tokio::spawn(async move {
            waits.join(&Topic::Services).unwrap().until(|| until.load(Ordering::SeqCst)).await;
        });
        while waiters.count() == 0 {
            tokio::task::yield_now().await;
        }
        waiters.notify(&[Topic::Nodes, Topic::Services]);
        tokio::task::yield_now().await;
        assert!(!task.is_finished(), "woken, and `done` does not hold");
        done.store(true, Ordering::SeqCst);
        waiters.notify(&[Topic::Services]);
        task.await.unwrap();
    }
}
