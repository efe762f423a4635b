//! The state, shared by tasks: a change wakes the waiting queries, the timer task, the check runner and the writer of the data file.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::{
    ledger::{Kept, Ledger},
    state::{Command, Effects, Identity, Refusal, Saved, State, Subject, Topic, Unsaved},
    waiters::{Waiter, Waiters},
};

/// The state that all tasks of an agent share.
#[derive(Debug)]
pub(crate) struct Engine {
    identity: Identity,
    known: Mutex<Known>,
    waiters: Waiters,
    /// The next deadline may be earlier.
    deadline_changed: Notify,
    /// The set of active checks changed.
    pub(crate) checks_changed: Notify,
    /// The next write may be due earlier.
    unsaved: Notify,
    stage: watch::Sender<Stage>,
    /// The reason why the agent ended, if one of its tasks failed.
    failure: watch::Sender<Option<String>>,
    requests: AtomicU64,
    dns_queries: AtomicU64,
    /// The number of changes. While it stays the same, all answers do.
    changes: AtomicU64,
}

/// The state, and what of it is not on disk; `None` without a data directory.
#[derive(Debug)]
struct Known {
    state: State,
    ledger: Option<Ledger>,
}

/// The lifecycle stage of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// New connections are not accepted, and queries do not block.
    Stopping,
    /// Nothing is served. The remaining changes are written to disk.
    Closing,
}

impl Engine {
    /// `kept`: whether the state is stored on disk, so that registrations wait for a write.
    pub(crate) fn new(identity: Identity, state: State, kept: bool) -> Self {
        Self {
            identity,
            known: Mutex::new(Known { state, ledger: kept.then(Ledger::default) }),
            waiters: Waiters::default(),
            deadline_changed: Notify::new(),
            checks_changed: Notify::new(),
            unsaved: Notify::new(),
            stage: watch::Sender::new(Stage::Serving),
            failure: watch::Sender::new(None),
            requests: AtomicU64::new(0),
            dns_queries: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Reads the state, which is locked during the call: `look` must be short.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    pub(crate) fn apply(&self, command: Command) -> Result<Kept, Refusal> {
        let now = Instant::now();
        let mut known = self.lock();
        let Known { state, ledger } = &mut *known;
        let subject = command.registers();
        let is_new = subject.as_ref().is_some_and(|subject| !state.holds(subject));
        let effects = state.apply(command, now)?;
        let kept = match (ledger, subject) {
            (None, _) => Kept::already(),
            (Some(ledger), None) => ledger.note(effects.unsaved, now),
            (Some(ledger), Some(subject)) => ledger.register(subject, is_new, effects.unsaved, now),
        };
        drop(known);
        self.notify(&effects);
        Ok(kept)
    }

    /// For the writer of the data file: returns `true` once a write is due, `false` once the agent closes. Cancel safe.
    pub(crate) async fn write_is_due(&self) -> bool {
        loop {
            let at = self.lock().ledger.as_ref().and_then(Ledger::write_at);
            tokio::select! {
                biased;
                () = self.reached(Stage::Closing) => return false,
                () = due(at) => return true,
                () = self.unsaved.notified() => {}
            }
        }
    }

    /// Begins a write: what to write, and the number of changes in it. `None` when everything is on disk.
    pub(crate) fn begin_write(&self) -> Option<(u64, Saved)> {
        let mut known = self.lock();
        let Known { state, ledger } = &mut *known;
        let ledger = ledger.as_mut().filter(|ledger| !ledger.is_kept())?;
        Some((ledger.begin(), state.save(Instant::now())))
    }

    /// A write of this number of changes succeeded. Returns whether an earlier one had failed.
    pub(crate) fn written(&self, changes: u64) -> bool {
        self.lock().ledger.as_mut().is_some_and(|ledger| ledger.written(changes))
    }

    /// A write of this number of changes failed: their new registrations are removed. Returns whether it is the first failure in a row.
    pub(crate) fn not_written(&self, changes: u64) -> bool {
        let now = Instant::now();
        let mut known = self.lock();
        let Known { state, ledger: Some(ledger) } = &mut *known else { return false };
        let (undone, is_first) = ledger.failed(changes, now);
        let undo = |subject: Subject| state.apply(subject.removal(), now).ok();
        let effects: Vec<_> = undone.into_iter().filter_map(undo).collect();
        drop(known);
        for effects in &effects {
            self.notify(effects);
        }
        is_first
    }

    /// Removes all registrations, as in an agent that was restarted without its data.
    pub(crate) fn clear(&self) {
        let mut known = self.lock();
        known.state = State::new(&self.identity);
        if let Some(ledger) = &mut known.ledger {
            // Nothing awaits the write.
            drop(ledger.note(Unsaved::Registration, Instant::now()));
        }
        drop(known);
        self.unsaved.notify_one();
        self.changes.fetch_add(1, Ordering::Release);
        self.checks_changed.notify_one();
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// A task failed: the agent ends, and writes the remaining changes to disk. The first failure is the reason.
    pub(crate) fn fail(&self, why: String) {
        self.failure.send_modify(|failure| {
            failure.get_or_insert(why);
        });
        self.enter(Stage::Closing);
    }

    /// Returns once a task failed, with the reason. Cancel safe.
    pub(crate) async fn failure(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match failed {
            Some(why) => why,
            // The sender belongs to this engine and still exists.
            None => std::future::pending().await,
        }
    }

    /// Joins the waiters of this topic; `None` at the limit.
    pub(crate) fn join(&self, topic: &Topic) -> Option<Waiter<'_>> {
        self.waiters.join(topic)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiters.count()
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn count_dns_query(&self) {
        self.dns_queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dns_queries(&self) -> u64 {
        self.dns_queries.load(Ordering::Relaxed)
    }

    /// The number of changes. Read it before the state, so that what is read then is at least as new.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns once the agent is at this stage or a later one.
    pub(crate) async fn reached(&self, stage: Stage) {
        if self.stage.subscribe().wait_for(|now| *now >= stage).await.is_err() {
            // The sender belongs to this engine and still exists.
            std::future::pending().await
        }
    }

    /// Applies what is due at each deadline, for as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = self.read(State::next_deadline);
            tokio::select! {
                () = due(next) => self.expire(),
                () = self.deadline_changed.notified() => {}
            }
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        let mut known = self.lock();
        let Known { state, ledger } = &mut *known;
        let effects = state.expire(now);
        if let Some(ledger) = ledger {
            // Nothing awaits the write.
            drop(ledger.note(effects.unsaved, now));
        }
        drop(known);
        self.notify(&effects);
    }

    fn notify(&self, effects: &Effects) {
        if !effects.changed.is_empty() {
            self.changes.fetch_add(1, Ordering::Release);
        }
        self.waiters.notify(&effects.changed);
        if effects.deadline_changed {
            self.deadline_changed.notify_one();
        }
        if effects.checks_changed {
            self.checks_changed.notify_one();
        }
        if effects.unsaved != Unsaved::Nothing {
            self.unsaved.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns at this time; never if there is none.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
