//! What is not on disk yet, and when it must be written: told what happens and when, it does no IO.
//!
//! A registration is answered once it is on disk, so it is written at once; those that come during a write share the next one. A beat is
//! answered without that: beats share a write per [`BEAT_LAG_MAX`], which is what a kill of the agent may lose of them. A write that failed is
//! tried again with backoff until one succeeds.
//!
//! A new registration whose write failed is undone, as in Consul: what was answered with an error must not be there. A change of one that was
//! there stays.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::state::{Subject, Unsaved};

/// A beat is on disk after this long at the latest.
const BEAT_LAG_MAX: Duration = Duration::from_secs(1);
/// After a failed write the next one is tried this much later, twice as much after each further one.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The changes that a restart must not lose.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How many there were.
    changes: u64,
    /// How many of them are on disk.
    kept: u64,
    /// Writes that failed since the last that succeeded.
    failures: u32,
    write_at: Option<Instant>,
    /// New registrations that are on no disk yet, by the change that must be kept for them to stay.
    provisional: BTreeMap<Subject, u64>,
    /// Requests that are answered once this change was written, or could not be.
    waiting: Vec<(u64, oneshot::Sender<bool>)>,
}

/// What becomes of a change.
#[derive(Debug)]
pub(crate) struct Kept(Option<oneshot::Receiver<bool>>);

impl Kept {
    /// Nothing has to be kept.
    pub(crate) const fn already() -> Self {
        Self(None)
    }

    /// Returns once the change is on disk, or could not be put there (`false`).
    pub(crate) async fn confirmed(self) -> bool {
        match self.0 {
            Some(written) => written.await.unwrap_or(false),
            None => true,
        }
    }
}

impl Ledger {
    /// A change was made that registered nothing.
    pub(crate) fn note(&mut self, unsaved: Unsaved, now: Instant) -> Kept {
        match unsaved {
            Unsaved::Nothing => Kept::already(),
            Unsaved::Beat => {
                self.changes += 1;
                self.hasten(now + BEAT_LAG_MAX);
                Kept::already()
            }
            Unsaved::Registration => {
                self.changes += 1;
                self.hasten(now);
                let (tx, rx) = oneshot::channel();
                self.waiting.push((self.changes, tx));
                Kept(Some(rx))
            }
        }
    }

    /// This was registered. Registered again before it is on disk, it stays or goes with the later write, even if nothing changed.
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

    /// When to write.
    pub(crate) const fn write_at(&self) -> Option<Instant> {
        self.write_at
    }

    pub(crate) const fn is_kept(&self) -> bool {
        self.kept == self.changes
    }

    /// A write begins: what was noted so far is in it.
    pub(crate) fn begin(&mut self) -> u64 {
        self.write_at = None;
        self.changes
    }

    /// A write of so many changes succeeded. Returns whether an earlier one had failed.
    pub(crate) fn written(&mut self, changes: u64) -> bool {
        self.kept = changes;
        self.provisional.retain(|_, change| *change > changes);
        self.answer(changes, true);
        std::mem::take(&mut self.failures) > 0
    }

    /// A write of so many changes failed. Returns what has to be undone, and whether it is the first failure in a row.
    pub(crate) fn failed(&mut self, changes: u64, now: Instant) -> (Vec<Subject>, bool) {
        let backoff = RETRY_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.hasten(now + backoff);
        let undone = self.provisional.extract_if(.., |_, change| *change <= changes);
        let undone = undone.map(|(subject, _)| subject).collect();
        self.answer(changes, false);
        (undone, self.failures == 1)
    }

    fn hasten(&mut self, at: Instant) {
        self.write_at = Some(self.write_at.map_or(at, |sooner| sooner.min(at)));
    }

    fn answer(&mut self, changes: u64, well: bool) {
        for (_, request) in self.waiting.extract_if(.., |(change, _)| *change <= changes) {
            // The client may have gone away.
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
    fn beats_share_a_write_and_wait_for_none() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for beat in 0..100 {
            let kept = ledger.note(Unsaved::Beat, now + beat * SECOND / 100);
            assert!(kept.0.is_none());
        }
        assert_eq!(ledger.write_at(), Some(now + BEAT_LAG_MAX));
        let changes = ledger.begin();
        assert_eq!((changes, ledger.write_at()), (100, None));
        ledger.written(changes);
        assert!(ledger.is_kept());
        assert_eq!(ledger.write_at(), None, "nothing is left to write");
    }

    #[test]
    fn a_registration_is_written_at_once_and_answered_then() {
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
    fn a_failed_write_is_tried_again_ever_later_until_one_succeeds() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let kept = ledger.note(Unsaved::Beat, now);
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
    fn what_is_new_and_not_kept_is_undone_and_what_was_there_stays() {
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

    /// Otherwise the later one would be answered with 200 and be gone.
    #[test]
    fn what_is_registered_again_is_undone_by_the_later_write_alone() {
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
