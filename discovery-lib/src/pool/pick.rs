//! One member taken for one call, and what became of it.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use tracing::{info, warn};

use crate::{
    Instance,
    member::{BreakerEvent, Call, Charge, Member, MemberId, Moment, Transition, Verdict},
};

/// One member, taken for one call. Judge it once it is known how the call went; dropped without, the caller is taken to have left.
///
/// Holds its member, never the pool: a pick of a pool that is gone is still good.
#[derive(Debug)]
#[must_use = "a pick that is dropped counts as a call that its caller gave up"]
pub struct Pick(InFlight);

/// A call that has been judged and still uses its member, for instance while the body of the answer arrives. Dropped, it gives its place back.
#[must_use = "dropping it says that the call is over"]
pub struct InFlight {
    member: Arc<Member>,
    call: Call,
    stage: Stage,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Picked,
    /// A good head has come. Whether the call went well is known at the end of its body.
    Answered(Moment),
    Judged,
}

impl Pick {
    pub(super) fn new(member: Arc<Member>, call: Call) -> Self {
        member.stats.enter();
        Self(InFlight { member, call, stage: Stage::Picked })
    }

    /// Whom to call.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.0.member.instance
    }

    /// Which running copy this is, to keep connections by and to pick apart from.
    pub fn member(&self) -> MemberId {
        self.0.member.stats.id()
    }

    /// What callers keep for this copy, for as long as it is known: connections.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        self.0.member.stats.attached()
    }

    /// It answered well, and is done with.
    pub fn succeed(self) {
        drop(self.judge(Verdict::SUCCESS));
    }

    /// It failed, and is done with.
    pub fn fail(self) {
        drop(self.judge(Verdict::FAILURE));
    }

    /// Says how it went, as soon as that is known; what is returned keeps the place until the call is over.
    pub fn judge(self, verdict: Verdict) -> InFlight {
        let Self(mut call) = self;
        call.judge(verdict);
        call
    }

    /// The head of a good answer has come: charges its latency. It succeeds when what is returned is dropped, unless it fails before.
    pub(crate) fn answered(self) -> InFlight {
        let Self(mut call) = self;
        call.answered();
        call
    }
}

impl InFlight {
    fn judge(&mut self, verdict: Verdict) {
        self.stage = Stage::Judged;
        let stats = &self.member.stats;
        let transition = stats.judge(verdict, self.call, stats.now(), fastrand::f32);
        self.tell(transition);
    }

    fn answered(&mut self) {
        let stats = &self.member.stats;
        let now = stats.now();
        stats.charge(Charge::Measured, now.since(self.call.picked), now);
        self.stage = Stage::Answered(now);
    }

    /// The body of a good answer broke off or stalled. An answer that was no good at its head already is not counted twice.
    pub(crate) fn fail(&mut self) {
        let Stage::Answered(at) = self.stage else { return };
        self.end(at, BreakerEvent::Failure);
        let (stats, elapsed) = (&self.member.stats, at.since(self.call.picked));
        stats.charge(Verdict::FAILURE.latency, elapsed, stats.now());
    }

    /// Its body has come without a break for `proof` or more: for an ejected member that is success enough, as some bodies never end.
    pub(crate) fn goes_on(&mut self, proof: Duration) {
        if let Stage::Answered(at) = self.stage
            && self.call.is_out
            && self.member.stats.now().since(at) >= proof
        {
            self.end(at, BreakerEvent::Success);
            self.call.is_out = false;
            self.stage = Stage::Answered(at);
        }
    }

    /// An answer whose head came at `at` ends so.
    fn end(&mut self, at: Moment, signal: BreakerEvent) {
        self.stage = Stage::Judged;
        let (stats, elapsed) = (&self.member.stats, at.since(self.call.picked));
        let transition = stats.learn(signal, self.call, elapsed, stats.now(), fastrand::f32);
        self.tell(transition);
    }

    fn tell(&self, transition: Transition) {
        if transition != Transition::None {
            self.log(transition);
        }
    }

    #[cold]
    fn log(&self, transition: Transition) {
        let Instance { service, id, .. } = &*self.member.instance;
        match transition {
            Transition::Ejected => warn!(%service, %id, "member ejected: it fails its callers"),
            Transition::Readmitted => info!(%service, %id, "member readmitted: it answers again"),
            Transition::None => {}
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match self.stage {
            Stage::Picked => self.judge(Verdict::ABANDONED),
            Stage::Answered(at) => self.end(at, BreakerEvent::Success),
            Stage::Judged => {}
        }
        self.member.stats.leave();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("instance", &self.member.instance)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// Why there is nobody to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PickError {
    /// Nobody has answered yet who the instances are.
    NoAnswerYet,
    /// There are no instances.
    NoInstances,
    /// There are instances, and none that may be called: critical, or in maintenance.
    NonePassing,
    /// Those that may be called have all been tried.
    AllTried,
}

impl fmt::Display for PickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswerYet => "nobody has answered yet who its instances are",
            Self::NoInstances => "it has no instances",
            Self::NonePassing => "none of its instances is passing",
            Self::AllTried => "each of its instances has been tried",
        })
    }
}

impl std::error::Error for PickError {}
