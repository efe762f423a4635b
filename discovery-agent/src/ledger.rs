//! Tracks which changes are not on disk, and when the next write is due. A pure state machine without IO.
//!
//! A registration is answered once it is on disk, so it is written at once; those that arrive during a write share the next one. A heartbeat is
//! answered without a write: heartbeats share one write per [`HEARTBEAT_LAG_MAX`], which is what a kill of the agent may lose of them. A failed write
//! is retried with backoff until one succeeds.
//!
//! A new registration whose write failed is undone, as in Consul: what was answered with an error must not exist. A change of an existing
//! registration stays.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::state::{Subject, Unsaved};

/// The maximum delay until a heartbeat is on disk.
const HEARTBEAT_LAG_MAX: Duration = Duration::from_secs(1);
/// The delay before a failed write is retried; it doubles with each further failure.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The changes that must survive a restart.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The number of changes.
    changes: u64,
    /// The number of changes on disk.
    kept: u64,
    /// Failed writes since the last success.
    failures: u32,
    write_at: Option<Instant>,
    /// New registrations that are not on disk, by the change that must be written for them to stay.
    provisional: BTreeMap<Subject, u64>,
    /// Requests that are answered once this change is written, or its write failed.
    waiting: Vec<(u64, oneshot::Sender<bool>)>,
}

/// How a change is made durable.
#[derive(Debug)]
pub(crate) struct Kept(Option<oneshot::Receiver<bool>>);

impl Kept {
    /// Nothing has to be written.
    pub(crate) const fn already() -> Self {
        Self(None)
    }

    /// Returns whether the change was written to disk.
    pub(crate) async fn confirmed(self) -> bool {
        match self.0 {
            Some(written) => written.await.unwrap_or(false),
            None => true,
        }
    }
}

impl Ledger {
    /// Records a change that registers nothing.
    pub(crate) fn note(&mut self, unsaved: Unsaved, now: Instant) -> Kept {
        match unsaved {
            Unsaved::Nothing => Kept::already(),
            Unsaved::Heartbeat => {
                self.changes += 1;
                self.schedule(now + HEARTBEAT_LAG_MAX);
                Kept::already()
            }
            Unsaved::Registration => {
                self.changes += 1;
                self.schedule(now);
                let (tx, rx) = oneshot::channel();
                self.waiting.push((self.changes, tx));
                Kept(Some(rx))
            }
        }
    }

    /// Records a registration. Registered again before it is on disk, the result of the later write applies to it, even if nothing changed.
    pub(crate) fn register(
        &mut self,
        subject: Subject,
        is_new: bool,
        unsaved: Unsaved,
        now: Instant,
    ) -> Kept {
        if !is_new && !self.provisional.contains_key(&subject) {
            return self.note(unsaved, now);
        }
        let kept = self.note(Unsaved::Registration, now);
        self.provisional.insert(subject, self.changes);
        kept
    }

    /// The time of the next write.
    pub(crate) const fn write_at(&self) -> Option<Instant> {
        self.write_at
    }

    pub(crate) const fn is_kept(&self) -> bool {
        self.kept == self.changes
    }

    /// Begins a write of all changes so far.
    pub(crate) fn begin(&mut self) -> u64 {
        self.write_at = None;
        self.changes
    }

    /// A write of this number of changes succeeded. Returns whether an earlier one had failed.
    pub(crate) fn written(&mut self, changes: u64) -> bool {
        self.kept = changes;
        self.provisional.retain(|_, change| *change > changes);
        self.answer(changes, true);
        std::mem::take(&mut self.failures) > 0
    }

    /// A write of this number of changes failed. Returns what has to be undone, and whether it is the first failure in a row.
    pub(crate) fn failed(&mut self, changes: u64, now: Instant) -> (Vec<Subject>, bool) {
        let backoff = RETRY_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.schedule(now + backoff);
        let undone = self.provisional.extract_if(.., |_, change| *change <= changes);
        let undone = undone.map(|(subject, _)| subject).collect();
        self.answer(changes, false);
        (undone, self.failures == 1)
    }

    fn schedule(&mut self, at: Instant) {
        self.write_at = Some(self.write_at.map_or(at, |sooner| sooner.min(at)));
    }

    fn answer(&mut self, changes: u64, well: bool) {
        for (_, request) in self.waiting.extract_if(.., |(change, _)| *change <= changes) {
            // The client may have disconnected.
            request.send(well).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn subject() -> Subject {
        Subject::Service("w".to_owned())
    }

    fn register(ledger: &mut Ledger, is_new: bool, now: Instant) -> Kept {
        ledger.register(subject(), is_new, Unsaved::Registration, now)
    }

    #[test]
    fn heartbeats_share_a_write_and_do_not_wait_for_it() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for beat in 0..100 {
            let kept = ledger.note(Unsaved::Heartbeat, now + beat * SECOND / 100);
            assert!(kept.0.is_none());
        }
        assert_eq!(ledger.write_at(), Some(now + HEARTBEAT_LAG_MAX));
        let changes = ledger.begin();
        assert_eq!((changes, ledger.write_at()), (100, None));
        ledger.written(changes);
        assert!(ledger.is_kept());
        assert_eq!(ledger.write_at(), None, "nothing is left to write");
    }

    #[test]
    fn a_registration_is_answered_after_an_immediate_write() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let mut kept = register(&mut ledger, true, now).0.unwrap();
        assert_eq!(ledger.write_at(), Some(now));
        let changes = ledger.begin();
        let mut later = register(&mut ledger, false, now).0.unwrap();
        assert!(kept.try_recv().is_err(), "not before it is written");
        ledger.written(changes);
        assert_eq!(kept.try_recv(), Ok(true));
        assert!(later.try_recv().is_err(), "it came during the write");
        assert_eq!(ledger.write_at(), Some(now));
    }

    #[test]
    fn a_failed_write_is_retried_with_growing_backoff() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let kept = ledger.note(Unsaved::Heartbeat, now);
        assert!(kept.0.is_none());
        let mut waits = Vec::new();
        for _ in 0..20 {
            let changes = ledger.begin();
            ledger.failed(changes, now);
            waits.push(ledger.write_at().unwrap() - now);
        }
        assert_eq!(waits[..3], [RETRY_MIN, 2 * RETRY_MIN, 4 * RETRY_MIN]);
        assert_eq!(waits[19], RETRY_MAX);
        let changes = ledger.begin();
        assert!(ledger.written(changes), "it had failed before");
        assert!(ledger.is_kept());
        assert_eq!(ledger.write_at(), None);
    }

    #[test]
    fn a_failed_write_undoes_new_registrations_only() {
        for is_new in [true, false] {
            let (mut ledger, now) = (Ledger::default(), Instant::now());
            let mut kept = register(&mut ledger, is_new, now).0.unwrap();
            let changes = ledger.begin();
            let (undone, first) = ledger.failed(changes, now);
            assert!(first);
            assert_eq!(undone, if is_new { vec![subject()] } else { Vec::new() });
            assert_eq!(kept.try_recv(), Ok(false));
            assert!(!ledger.is_kept(), "it is tried again");
        }
    }

    /// Otherwise the later registration would be answered with 200 and then removed.
    #[test]
    fn a_repeated_registration_is_undone_only_by_its_later_write() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let mut first = register(&mut ledger, true, now).0.unwrap();
        let changes = ledger.begin();
        let again = ledger.register(subject(), false, Unsaved::Nothing, now);
        let mut again = again.0.expect("the first is not kept yet, so neither is this");
        assert_eq!(ledger.failed(changes, now).0, Vec::new());
        assert_eq!((first.try_recv(), again.try_recv().is_err()), (Ok(false), true));
        let changes = ledger.begin();
        ledger.written(changes);
        assert_eq!(again.try_recv(), Ok(true));
    }
}
