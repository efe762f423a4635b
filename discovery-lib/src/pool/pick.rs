//! One member taken for one call, and what became of it.

use std::{any::Any, fmt, sync::Arc};

use tracing::{info, warn};

use crate::{
    Instance,
    member::{Call, Member, MemberId, Turn, Verdict},
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
    is_judged: bool,
}

impl Pick {
    pub(super) fn new(member: Arc<Member>, call: Call) -> Self {
        member.learnt.enter();
        Self(InFlight { member, call, is_judged: false })
    }

    /// Whom to call.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.0.member.instance
    }

    /// Which running copy this is, to keep connections by and to pick apart from.
    pub fn member(&self) -> MemberId {
        self.0.member.learnt.id()
    }

    /// What callers keep for this copy, for as long as it is known: connections.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        self.0.member.learnt.attached()
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
}

impl InFlight {
    fn judge(&mut self, verdict: Verdict) {
        self.is_judged = true;
        let learnt = &self.member.learnt;
        let turn = learnt.judge(verdict, self.call, learnt.now(), fastrand::f32);
        if turn != Turn::None {
            self.log(turn);
        }
    }

    #[cold]
    fn log(&self, turn: Turn) {
        let Instance { service, id, .. } = &*self.member.instance;
        match turn {
            Turn::Ejected => warn!(%service, %id, "member ejected: it fails its callers"),
            Turn::Readmitted => info!(%service, %id, "member readmitted: it answers again"),
            Turn::None => {}
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_judged {
            self.judge(Verdict::ABANDONED);
        }
        self.member.learnt.leave();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("instance", &self.member.instance)
            .field("is_judged", &self.is_judged)
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
