//! One member picked for one call, and the result of the call.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use tracing::{info, warn};

use crate::{
    Instance,
    member::{BreakerEvent, Call, Charge, Member, MemberId, Moment, Transition, Verdict},
};

/// One member, picked for one call. Judge it once the result of the call is known; a pick that is dropped counts as an abandoned call.
///
/// It holds its member, not the pool: it remains valid after the pool is dropped.
#[derive(Debug)]
#[must_use = "a pick that is dropped counts as an abandoned call"]
pub struct Pick(InFlight);

/// A call that has been judged and still uses its member, for instance while the response body arrives. The call ends when this is dropped.
#[must_use = "dropping it ends the call"]
pub struct InFlight {
    member: Arc<Member>,
    call: Call,
    stage: Stage,
}

/// The progress of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Picked,
    /// A good response head has arrived. The result of the call is known at the end of its body.
    Answered(Moment),
    Judged,
}

impl Pick {
    pub(super) fn new(member: Arc<Member>, call: Call) -> Self {
        member.stats.enter();
        Self(InFlight { member, call, stage: Stage::Picked })
    }

    /// The instance to call.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.0.member.instance
    }

    /// The identity of the running copy, for [`PickOptions::apart_from`](crate::PickOptions::apart_from).
    pub fn member(&self) -> MemberId {
        self.0.member.stats.id()
    }

    /// Whether the instance may still be called. False once it has left the pool: deregistered, replaced, or in maintenance; an instance that
    /// vanished or turned critical is current while the pool holds it in reserve. One atomic read.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    /// Waits until the instance has left the pool ([`Pick::is_current`]). For users of long connections, which should move to another
    /// instance then. It never returns if the pool is dropped first. Cancel safe.
    pub async fn gone(&self) {
        self.0.gone().await;
    }

    /// The value that callers store with this copy: connections.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        self.0.member.stats.attached()
    }

    /// The call succeeded and is over.
    pub fn succeed(self) {
        drop(self.judge(Verdict::SUCCESS));
    }

    /// The call failed and is over.
    pub fn fail(self) {
        drop(self.judge(Verdict::FAILURE));
    }

    /// Records the result of the call. The returned value counts as a call in flight until it is dropped.
    pub fn judge(self, verdict: Verdict) -> InFlight {
        let Self(mut call) = self;
        call.judge(verdict);
        call
    }

    /// The head of a good answer has arrived: charges its latency. The call succeeds when the returned value is dropped, unless it fails before.
    pub(crate) fn answered(self) -> InFlight {
        let Self(mut call) = self;
        call.answered();
        call
    }
}

impl InFlight {
    /// As [`Pick::is_current`].
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.member.stats.is_gone()
    }

    /// As [`Pick::gone`].
    pub async fn gone(&self) {
        self.member.stats.gone().await;
    }

    fn judge(&mut self, verdict: Verdict) {
        self.stage = Stage::Judged;
        let stats = &self.member.stats;
        let transition = stats.judge(verdict, self.call, stats.now(), || stats.draw());
        self.report(transition);
    }

    fn answered(&mut self) {
        let stats = &self.member.stats;
        let now = stats.now();
        stats.charge(Charge::Measured, now.since(self.call.picked), now);
        self.stage = Stage::Answered(now);
    }

    /// The body of a good answer was cut or stalled. An answer with a bad head is not counted twice.
    pub(crate) fn fail(&mut self) {
        let Stage::Answered(at) = self.stage else { return };
        self.end(at, BreakerEvent::Failure);
        let (stats, elapsed) = (&self.member.stats, at.since(self.call.picked));
        stats.charge(Verdict::FAILURE.latency, elapsed, stats.now());
    }

    /// Its body has arrived without a pause for `proof` or more. For an ejected member this counts as success, because some bodies never end.
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

    /// The result of an answer whose head arrived at `at`.
    fn end(&mut self, at: Moment, signal: BreakerEvent) {
        self.stage = Stage::Judged;
        let (stats, elapsed) = (&self.member.stats, at.since(self.call.picked));
        let transition = stats.learn(signal, self.call, elapsed, stats.now(), || stats.draw());
        self.report(transition);
    }

    fn report(&self, transition: Transition) {
        if transition != Transition::None {
            self.log(transition);
        }
    }

    #[cold]
    fn log(&self, transition: Transition) {
        let Instance { service, id, .. } = &*self.member.instance;
        match transition {
            Transition::Ejected => warn!(%service, %id, "instance ejected"),
            Transition::Readmitted => info!(%service, %id, "instance readmitted"),
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

/// The reason for which there is no instance to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PickError {
    /// There is no answer yet to the query for the instances.
    NoAnswerYet,
    /// There are no instances.
    NoInstances,
    /// All instances are critical or in maintenance.
    NonePassing,
    /// All instances that may be called have been tried.
    AllTried,
}

impl fmt::Display for PickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswerYet => "its instances are not known yet",
            Self::NoInstances => "it has no instances",
            Self::NonePassing => "none of its instances is passing",
            Self::AllTried => "all of its instances have been tried",
        })
    }
}

impl std::error::Error for PickError {}
