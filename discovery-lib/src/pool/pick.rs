//! One member picked for one call, and the result of the call.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    Instance,
    member::{BreakerEvent, Call, Charge, Member, MemberId, Moment, Transition, Verdict},
    metrics::Counts,
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
    /// Judged, and no longer counted as in flight.
    Left,
}

impl Pick {
    #[inline]
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

    /// The counters of its pool.
    pub(crate) fn counts(&self) -> &Counts {
        self.0.member.stats.counts()
    }

    /// The value that callers store with this copy: connections.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        self.0.member.stats.attached()
    }

    /// The call succeeded and is over.
    #[inline]
    pub fn succeed(self) {
        let Self(mut call) = self;
        let now = call.member.stats.moment(Instant::now());
        if call.member.stats.succeed_and_leave(call.call, now) {
            call.member.stats.latency().measured(call.call.picked, now);
            call.stage = Stage::Left;
        } else {
            call.judge_at_moment(Verdict::SUCCESS, now);
        }
    }

    /// The call failed and is over.
    pub fn fail(self) {
        drop(self.judge(Verdict::FAILURE));
    }

    /// Records the result of the call, or what is known of it at the head of the response. The returned value counts as a call in flight
    /// until it is dropped; the body may bring another verdict ([`InFlight::judge`]).
    ///
    /// ```
    /// # use discovery::{Pool, Verdict};
    /// # fn main() -> Result<(), discovery::PickError> {
    /// # let pool = Pool::fixed("web", ["127.0.0.1:8001".parse().unwrap()]);
    /// let pick = pool.pick()?;
    /// // ... the head of a good response has arrived
    /// let mut in_flight = pick.judge(Verdict::ANSWERED);
    /// // ... the connection is lost in the middle of the body
    /// in_flight.judge(Verdict::FAILURE);
    /// # Ok(())
    /// # }
    /// ```
    pub fn judge(self, verdict: Verdict) -> InFlight {
        self.judge_at(verdict, Instant::now())
    }

    /// As [`Pick::judge`], for a caller that has just read the clock.
    pub fn judge_at(self, verdict: Verdict, now: Instant) -> InFlight {
        let Self(mut call) = self;
        call.judge_at(verdict, now);
        call
    }
}

impl InFlight {
    /// As [`Pick::is_current`].
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.member.stats.is_gone()
    }

    /// As [`Pick::gone`]. The future holds the instance, not the call.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let member = Arc::clone(&self.member);
        async move { member.stats.gone().await }
    }

    /// Records what the body brought. It counts only after [`Verdict::ANSWERED`]: any other verdict was final. The latency up to the head
    /// is charged already, so this adds only what is [at least](Charge::AtLeast) to be charged.
    pub fn judge(&mut self, verdict: Verdict) {
        self.judge_at(verdict, Instant::now());
    }

    fn judge_at(&mut self, verdict: Verdict, now: Instant) {
        self.judge_at_moment(verdict, self.member.stats.moment(now));
    }

    fn judge_at_moment(&mut self, verdict: Verdict, now: Moment) {
        let stats = &self.member.stats;
        match (self.stage, verdict.breaker) {
            (Stage::Picked, BreakerEvent::Pending) => {
                stats.charge(verdict.latency, now.since(self.call.picked), now);
                self.stage = Stage::Answered(now);
            }
            (Stage::Picked, _) => {
                self.stage = Stage::Judged;
                let transition = stats.judge(verdict, self.call, now, || stats.draw());
                self.report(transition);
            }
            (Stage::Answered(at), event) if event != BreakerEvent::Pending => {
                self.end(at, verdict, now);
            }
            (Stage::Answered(_) | Stage::Judged | Stage::Left, _) => {}
        }
    }

    /// The body has not ended, and has had no pause of `proof` so far. Once that has been the case for `proof` since the head, it counts as
    /// success for an ejected member, because some bodies never end. A failure may still follow.
    pub fn still_arriving(&mut self, proof: Duration, now: Instant) {
        let now = self.member.stats.moment(now);
        if let Stage::Answered(at) = self.stage
            && self.call.is_out
            && now.since(at) >= proof
        {
            self.end(at, Verdict::SUCCESS, now);
            self.call.is_out = false;
            self.stage = Stage::Answered(at);
        }
    }

    /// The result of a response whose head arrived at `at`.
    fn end(&mut self, at: Moment, verdict: Verdict, now: Moment) {
        self.stage = Stage::Judged;
        let (stats, elapsed) = (&self.member.stats, at.since(self.call.picked));
        let transition = stats.learn(verdict.breaker, self.call, elapsed, now, || stats.draw());
        if let Charge::AtLeast(_) = verdict.latency {
            stats.charge(verdict.latency, elapsed, now);
        }
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
            Transition::Ejected => warn!(%service, instance = %id, "instance ejected"),
            Transition::Readmitted => info!(%service, instance = %id, "instance readmitted"),
            Transition::None => {}
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match self.stage {
            Stage::Picked => self.judge(Verdict::ABANDONED),
            Stage::Answered(_) => {
                let now = self.member.stats.moment(Instant::now());
                if self.member.stats.succeed_and_leave(self.call, now) {
                    return;
                }
                self.judge_at_moment(Verdict::SUCCESS, now);
            }
            Stage::Judged => {}
            Stage::Left => return,
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
