//! The state among tasks: who changes it wakes those who wait, and tells the timekeeper, the runner of checks and the keeper of the file.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::{
    state::{Command, Effects, Identity, Refusal, State, Topic},
    waiters::{Waiter, Waiters},
};

/// As many changes are on disk as there can be, since none has to be.
const NOBODY_KEEPS: u64 = u64::MAX;

/// What all tasks of an agent share.
#[derive(Debug)]
pub(crate) struct Engine {
    identity: Identity,
    state: Mutex<State>,
    waiters: Waiters,
    /// The next deadline may be sooner.
    hastened: Notify,
    /// The set of checks that run is another.
    pub(crate) retargeted: Notify,
    /// How many changes there were that a restart must not lose.
    unsaved: watch::Sender<u64>,
    /// How many of them are on disk, and whether the last write went well. Nobody keeps them: all of them.
    saved: watch::Sender<(u64, bool)>,
    conduct: watch::Sender<Conduct>,
    requests: AtomicU64,
    questions: AtomicU64,
    /// How often anything changed: while it stays, so do all answers.
    changes: AtomicU64,
}

/// How the agent behaves towards those who ask: well, unless a test wants otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conduct {
    pub(crate) mood: Mood,
    /// Goes up when the agent forgets everything: connections of an earlier life end.
    pub(crate) life: u64,
    pub(crate) stage: Stage,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Takes questions and does not answer them.
    Frozen,
    /// Answers everything with this status.
    Failing(StatusCode),
}

impl Engine {
    /// `kept`: whether somebody keeps the state on disk, so that changes wait for that.
    pub(crate) fn new(identity: Identity, state: State, kept: bool) -> Self {
        let conduct = Conduct { mood: Mood::Well, life: 0, stage: Stage::Serving };
        Self {
            identity,
            state: Mutex::new(state),
            waiters: Waiters::default(),
            hastened: Notify::new(),
            retargeted: Notify::new(),
            unsaved: watch::Sender::new(0),
            saved: watch::Sender::new((if kept { 0 } else { NOBODY_KEEPS }, true)),
            conduct: watch::Sender::new(conduct),
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
        look(&self.lock())
    }

    pub(crate) fn apply(&self, command: Command) -> Result<(), Refusal> {
        let effects = self.lock().apply(command, Instant::now())?;
        self.tell(&effects);
        Ok(())
    }

    /// Returns once all changes made so far are on disk, or could not be put there (`false`). At once if nobody keeps them.
    pub(crate) async fn kept(&self) -> bool {
        let changes = *self.unsaved.borrow();
        if self.saved.borrow().0 == NOBODY_KEEPS {
            return true;
        }
        let mut saved = self.saved.subscribe();
        let reached = saved.wait_for(|(saved, _)| *saved >= changes).await;
        reached.is_ok_and(|reached| reached.1)
    }

    /// For who keeps them: the number of changes, once some are not on disk; `None` when there are none and will be none.
    pub(crate) async fn unsaved(&self) -> Option<u64> {
        let mut unsaved = self.unsaved.subscribe();
        let saved = self.saved.borrow().0;
        let some = async { unsaved.wait_for(|changes| *changes > saved).await.map(|it| *it).ok() };
        tokio::select! {
            biased;
            changes = some => changes,
            _ = self.until(|conduct| conduct.stage == Stage::Closing) => None,
        }
    }

    /// For who keeps them: so many changes are dealt with, well or not.
    pub(crate) fn saved(&self, changes: u64, well: bool) {
        self.saved.send_replace((changes, well));
    }

    /// Everything registered is gone, as in an agent that was restarted without its data, and so are all connections.
    pub(crate) fn forget(&self) {
        *self.lock() = State::new(&self.identity);
        self.changes.fetch_add(1, Ordering::Release);
        self.retargeted.notify_one();
        self.unsaved.send_modify(|changes| *changes += 1);
        self.conduct.send_modify(|conduct| conduct.life += 1);
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.conduct.send_modify(|conduct| conduct.stage = stage);
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

    pub(crate) fn conduct(&self) -> Conduct {
        *self.conduct.borrow()
    }

    /// Returns once the conduct is such, which may be now.
    pub(crate) async fn until(&self, such: impl Fn(&Conduct) -> bool) -> Conduct {
        let now = self.conduct();
        if such(&now) {
            return now;
        }
        let mut conduct = self.conduct.subscribe();
        let then = conduct.wait_for(such).await.map(|conduct| *conduct);
        match then {
            Ok(conduct) => conduct,
            // The sender is ours and still there.
            Err(_) => std::future::pending().await,
        }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.conduct.send_modify(|conduct| conduct.mood = mood);
    }

    /// Does what is due when it is due, for as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = self.read(State::next_deadline);
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    let effects = self.lock().expire(Instant::now());
                    self.tell(&effects);
                }
                () = self.hastened.notified() => {}
            }
        }
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
        if effects.unsaved {
            self.unsaved.send_modify(|changes| *changes += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
