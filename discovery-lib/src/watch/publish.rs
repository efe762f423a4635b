//! The state that watches publish: the last good snapshot, and the failure since then, if there is one.
//!
//! A change wakes them: of the instances, of their origin, or from answer to failure and back. An equal answer replaces the snapshot without a
//! wake-up, so that its age is current.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};
use tracing::{debug, info, warn};

use super::{
    machine::Notice,
    snapshot::{Origin, Queries, Snapshot, Watched},
};
use crate::Error;

/// The sending half.
#[derive(Debug)]
pub(super) struct Publisher {
    service: Arc<str>,
    watched_tx: watch::Sender<Watched>,
}

impl Publisher {
    pub(super) fn new(service: Arc<str>) -> (Self, watch::Receiver<Watched>) {
        let (watched_tx, watched_rx) = watch::channel(Watched::default());
        (Self { service, watched_tx }, watched_rx)
    }

    pub(super) fn publish(&self, notice: Notice) {
        match notice {
            Notice::Failure(error) => self.failure(error),
            Notice::Answer(snapshot) => self.answer(snapshot),
        }
    }

    /// The channel, in which what is known already counts as seen.
    pub(super) fn subscribe(&self) -> watch::Receiver<Watched> {
        self.watched_tx.subscribe()
    }

    /// A snapshot from disk, since there is no answer yet, as this error says.
    pub(super) fn recall(&self, snapshot: Snapshot, error: Error) {
        let (age_s, instances) = (snapshot.age(Instant::now()).as_secs(), snapshot.instances.len());
        let err: &(dyn std::error::Error + 'static) = &error;
        warn!(service = %self.service, instances, age_s, error = err, "no answer yet; the instances from disk are used");
        let (snapshot, failure) = (Some(Arc::new(snapshot)), Some(Arc::new(error)));
        let queries = self.watched_tx.borrow().queries;
        self.watched_tx.send_replace(Watched { snapshot, failure, queries });
    }

    fn failure(&self, error: Error) {
        let is_first = self.watched_tx.borrow().failure.is_none();
        let err: &(dyn std::error::Error + 'static) = &error;
        if is_first {
            warn!(service = %self.service, error = err, "watch failed; the last known instances are kept");
        } else {
            debug!(service = %self.service, error = err, "watch failed again");
        }
        self.watched_tx.send_if_modified(|watched| {
            watched.failure = Some(Arc::new(error));
            watched.queries.failed += 1;
            is_first
        });
    }

    fn answer(&self, mut snapshot: Snapshot) {
        // There is no other writer, so this holds until the new one is sent.
        let last = self.watched_tx.borrow().clone();
        let has_recovered = last.failure.is_some();
        if has_recovered {
            info!(service = %self.service, "watch recovered");
        }
        let before = last.snapshot.as_ref().map(|last| last.origin);
        let has_moved = before.is_some_and(|origin| origin != snapshot.origin);
        if has_moved && before != Some(Origin::Disk) {
            warn!(service = %self.service, origin = ?snapshot.origin, ?before, "watch is answered by another source");
        }
        let same = last.snapshot.filter(|last| last.instances == snapshot.instances);
        let has_changed = same.is_none() || has_moved;
        match same {
            Some(same) => snapshot.instances = same.instances.clone(),
            None => {
                let (index, instances) = (snapshot.index, snapshot.instances.len());
                debug!(service = %self.service, index, instances, "instances changed");
            }
        }
        let queries = Queries { answered: last.queries.answered + 1, ..last.queries };
        let watched = Watched { snapshot: Some(Arc::new(snapshot)), failure: None, queries };
        self.watched_tx.send_if_modified(|last| {
            *last = watched;
            has_changed || has_recovered
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Instance, error::Kind};

    fn snapshot(port: u16, as_of: Instant) -> Notice {
        let instance = Instance::at("web", "10.0.0.1".into(), port);
        let instances = [Arc::new(instance)];
        Notice::Answer(Snapshot { index: 1, ..Snapshot::new(instances, Origin::Catalog, as_of) })
    }

    fn failure() -> Notice {
        Notice::Failure(Error::new(Kind::Timeout, "too late"))
    }

    /// Notices in order, and whether each wakes a watch.
    #[track_caller]
    fn check(rows: impl IntoIterator<Item = (Notice, bool)>) -> Watched {
        let (publisher, mut watched_rx) = Publisher::new("web".into());
        for (row, (notice, wakes)) in rows.into_iter().enumerate() {
            publisher.publish(notice);
            assert_eq!(watched_rx.has_changed().unwrap(), wakes, "row {row}");
            watched_rx.mark_unchanged();
        }
        watched_rx.borrow().clone()
    }

    #[test]
    fn only_what_changed_wakes() {
        let now = Instant::now();
        check([
            (failure(), true),
            (failure(), false),
            (snapshot(80, now), true),
            (snapshot(80, now), false),
            (snapshot(81, now), true),
            (failure(), true),
            (snapshot(81, now), true),
        ]);
    }

    #[test]
    fn an_equal_answer_updates_the_age() {
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        let watched = check([(snapshot(80, then), true), (snapshot(80, now), false)]);
        assert_eq!(watched.snapshot.unwrap().as_of, now);
    }

    #[test]
    fn a_failure_keeps_the_snapshot_and_its_age_grows() {
        let now = Instant::now();
        let watched = check([(snapshot(80, now), true), (failure(), true)]);
        let snapshot = watched.snapshot.unwrap();
        assert_eq!(snapshot.instances.len(), 1);
        assert!(watched.failure.is_some());
        let later = Duration::from_secs(60);
        assert_eq!(snapshot.age(now + later), later);
    }

    #[test]
    fn an_answer_ends_the_failure() {
        let watched = check([(failure(), true), (snapshot(80, Instant::now()), true)]);
        assert!(watched.failure.is_none());
    }

    #[test]
    fn an_equal_answer_of_another_origin_is_a_change() {
        let now = Instant::now();
        let by = |origin| match snapshot(80, now) {
            Notice::Answer(snapshot) => Notice::Answer(Snapshot { origin, ..snapshot }),
            failure @ Notice::Failure(_) => failure,
        };
        let watched = check([
            (by(Origin::Catalog), true),
            (by(Origin::Dns), true),
            (by(Origin::Dns), false),
            (by(Origin::Catalog), true),
        ]);
        assert_eq!(watched.snapshot.unwrap().origin, Origin::Catalog);
    }

    #[test]
    fn a_snapshot_from_disk_is_published_with_the_failure_until_an_answer_replaces_it() {
        let (publisher, mut watched_rx) = Publisher::new("web".into());
        let now = Instant::now();
        let from_disk =
            Snapshot::from_disk([Instance::at("web", "10.0.0.1".into(), 80)], Duration::ZERO, now);
        publisher.recall(from_disk, Error::new(Kind::Timeout, "late"));
        let recalled = watched_rx.borrow_and_update().clone();
        assert_eq!(recalled.snapshot.as_ref().unwrap().origin, Origin::Disk);
        assert_eq!(recalled.failure.unwrap().to_string(), "late");
        publisher.publish(failure());
        assert!(!watched_rx.has_changed().unwrap(), "it failed already");
        assert_eq!(watched_rx.borrow().failure.as_ref().unwrap().to_string(), "too late");
        publisher.publish(snapshot(80, now));
        assert!(watched_rx.has_changed().unwrap());
        let answered = watched_rx.borrow_and_update().clone();
        let answer = answered.snapshot.unwrap();
        assert_eq!((answer.origin, answered.failure.is_none()), (Origin::Catalog, true));
        assert!(Arc::ptr_eq(&answer.instances, &recalled.snapshot.unwrap().instances));
    }

    #[test]
    fn an_empty_answer_is_an_answer() {
        let empty = Snapshot { index: 9, ..Snapshot::new([], Origin::Catalog, Instant::now()) };
        let watched = check([(snapshot(80, Instant::now()), true), (Notice::Answer(empty), true)]);
        assert!(watched.snapshot.unwrap().instances.is_empty());
    }
}
