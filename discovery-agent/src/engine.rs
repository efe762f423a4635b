//! The state among tasks: who changes it wakes those who wait, and tells the timekeeper, the runner of checks and the keeper of the file.

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

/// What all tasks of an agent share.
#[derive(Debug)]
pub(crate) struct Engine {
    identity: Identity,
    known: Mutex<Known>,
    waiters: Waiters,
    /// The next deadline may be sooner.
    hastened: Notify,
    /// The set of checks that run is another.
    pub(crate) retargeted: Notify,
    /// The next write may be due sooner.
    unsaved: Notify,
    stage: watch::Sender<Stage>,
    /// Why the agent ended, if a task of it failed.
    failure: watch::Sender<Option<String>>,
    requests: AtomicU64,
    questions: AtomicU64,
    /// How often anything changed: while it stays, so do all answers.
    changes: AtomicU64,
}

/// What is known, and what of it is not on disk; `None` if nobody keeps it there.
#[derive(Debug)]
struct Known {
    state: State,
    ledger: Option<Ledger>,
}

/// How far an agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// Takes no new connections, and nobody is made to wait any more.
    Stopping,
    /// Nobody is served any more; what is not on disk goes there.
    Closing,
}

impl Engine {
    /// `kept`: whether somebody keeps the state on disk, so that changes wait for that.
    pub(crate) fn new(identity: Identity, state: State, kept: bool) -> Self {
        Self {
            identity,
            known: Mutex::new(Known { state, ledger: kept.then(Ledger::default) }),
            waiters: Waiters::default(),
            hastened: Notify::new(),
            retargeted: Notify::new(),
            unsaved: Notify::new(),
            stage: watch::Sender::new(Stage::Serving),
            failure: watch::Sender::new(None),
            requests: AtomicU64::new(0),
            questions: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Looks at the state. What is looked at holds everybody up, so it is done at once.
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
        self.tell(&effects);
        Ok(kept)
    }

    /// For who keeps what is known on disk: returns once a write is due, or the agent ends (`false`).
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

    /// A write begins: what to write, and how many changes it has. `None` when all is on disk.
    pub(crate) fn begin_write(&self) -> Option<(u64, Saved)> {
        let mut known = self.lock();
        let Known { state, ledger } = &mut *known;
        let ledger = ledger.as_mut().filter(|ledger| !ledger.is_kept())?;
        Some((ledger.begin(), state.save(Instant::now())))
    }

    /// A write of so many changes succeeded. Returns whether an earlier one had failed.
    pub(crate) fn written(&self, changes: u64) -> bool {
        self.lock().ledger.as_mut().is_some_and(|ledger| ledger.written(changes))
    }

    /// A write of so many changes failed: what they registered is removed again. Returns whether it is the first failure in a row.
    pub(crate) fn not_written(&self, changes: u64) -> bool {
        let now = Instant::now();
        let mut known = self.lock();
        let Known { state, ledger: Some(ledger) } = &mut *known else { return false };
        let (undone, is_first) = ledger.failed(changes, now);
        let undo = |subject: Subject| state.apply(subject.removal(), now).ok();
        let effects: Vec<_> = undone.into_iter().filter_map(undo).collect();
        drop(known);
        for effects in &effects {
            self.tell(effects);
        }
        is_first
    }

    /// Everything registered is gone, as in an agent that was restarted without its data.
    pub(crate) fn forget(&self) {
        let mut known = self.lock();
        known.state = State::new(&self.identity);
        if let Some(ledger) = &mut known.ledger {
            // Nobody waits for it.
            drop(ledger.note(Unsaved::Registration, Instant::now()));
        }
        drop(known);
        self.unsaved.notify_one();
        self.changes.fetch_add(1, Ordering::Release);
        self.retargeted.notify_one();
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// A task failed: the agent ends, and puts on disk what belongs there. The first failure is the reason.
    pub(crate) fn fail(&self, why: String) {
        self.failure.send_modify(|failure| {
            failure.get_or_insert(why);
        });
        self.enter(Stage::Closing);
    }

    /// Returns once a task failed: why.
    pub(crate) async fn failure(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match failed {
            Some(why) => why,
            // The sender is ours and still there.
            None => std::future::pending().await,
        }
    }

    /// Takes a place among those who wait for this topic; `None` when there is none left.
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

    pub(crate) fn count_question(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// How often anything changed. Read it before the state: what is read then is at least as new.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns once the agent is at this stage or a later one.
    pub(crate) async fn reached(&self, stage: Stage) {
        if self.stage.subscribe().wait_for(|now| *now >= stage).await.is_err() {
            // The sender is ours and still there.
            std::future::pending().await
        }
    }

    /// Does what is due when it is due, for as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = self.read(State::next_deadline);
            tokio::select! {
                () = due(next) => self.expire(),
                () = self.hastened.notified() => {}
            }
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        let mut known = self.lock();
        let Known { state, ledger } = &mut *known;
        let effects = state.expire(now);
        if let Some(ledger) = ledger {
            // Nobody waits for it.
            drop(ledger.note(effects.unsaved, now));
        }
        drop(known);
        self.tell(&effects);
    }

    fn tell(&self, effects: &Effects) {
        if !effects.changed.is_empty() {
            self.changes.fetch_add(1, Ordering::Release);
        }
        self.waiters.ring(&effects.changed);
        if effects.hastened {
            self.hastened.notify_one();
        }
        if effects.retargeted {
            self.retargeted.notify_one();
        }
        if effects.unsaved != Unsaved::Nothing {
            self.unsaved.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns then; never if there is no such time.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
