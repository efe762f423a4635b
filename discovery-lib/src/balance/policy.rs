//! The interface of a policy: it chooses one of the candidates that are eligible now.

use std::{fmt::Debug, sync::Arc, time::Duration};

use fastrand::Rng;

use super::ranks::Entry;
use crate::{Instance, member::MemberId};

/// Chooses the instance of each pick.
///
/// The pool decides which instances are eligible (rank, ejection, probes, what the call has tried) and passes these alone, so a policy
/// compares candidates of one rank. The default is the power of two choices by latency and load; [`RoundRobin`](crate::RoundRobin) is an alternative. A policy
/// is set with [`PoolOptions::policy`](crate::PoolOptions::policy) and is shared by all picks of a pool.
///
/// ```
/// use discovery::{Candidates, Policy, Pool, PoolOptions, RandomDraws};
///
/// /// The same key gets the same instance while the candidates are the same.
/// #[derive(Debug)]
/// struct ByKey;
///
/// impl Policy for ByKey {
///     fn choose(&self, candidates: &Candidates<'_>, key: Option<u64>, random: &mut RandomDraws) -> usize {
///         let key = key.unwrap_or_else(|| random.u64());
///         (key % candidates.len() as u64) as usize
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let addresses = ["127.0.0.1:8001".parse()?, "127.0.0.1:8002".parse()?];
/// let pool = Pool::fixed_with("web", addresses, PoolOptions::new().policy(ByKey))?;
/// let pick = pool.pick_with(discovery::PickOptions::new().key(3))?;
/// assert_eq!(pick.instance().port, 8002);
/// # Ok(())
/// # }
/// ```
pub trait Policy: Debug + Send + Sync {
    /// The index of the candidate to pick: 0 to `candidates.len() - 1`. A larger index picks the last one. There is at least one candidate.
    ///
    /// `key` is that of [`PickOptions::key`](crate::PickOptions::key). Called once per pick, by many threads at the same time; it should be
    /// quick and must not block.
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize;
}

/// The eligible members of one rank, as a read-only view. Their order is stable between two changes of the pool.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    entries: &'a [Entry],
    eligible: &'a [u32],
}

/// One eligible member.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a>(&'a Entry);

impl<'a> Candidates<'a> {
    pub(super) fn new(entries: &'a [Entry], eligible: &'a [u32]) -> Self {
        Self { entries, eligible }
    }

    /// The number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.eligible.len()
    }

    /// Whether there are none. Always false in [`Policy::choose`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eligible.is_empty()
    }

    /// The candidate at an index; None beyond the last.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Candidate<'a>> {
        self.eligible.get(index).map(|&place| Candidate(&self.entries[place as usize]))
    }

    /// All candidates, in order.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        let Self { entries, eligible } = *self;
        eligible.iter().map(|&place| Candidate(&entries[place as usize]))
    }
}

impl<'a> Candidate<'a> {
    /// The instance as Consul describes it.
    #[must_use]
    pub fn instance(&self) -> &'a Arc<Instance> {
        &self.0.member.instance
    }

    /// The identity of the running copy.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.0.member.stats.id()
    }

    /// The weight for its current status.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.0.member.instance.weight()
    }

    /// The latency estimate, with failures charged as slow answers; None before the first answer.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.0.member.stats.latency().estimate()
    }

    /// The number of calls that use it now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.member.stats.in_flight()
    }
}

/// Random numbers for one pick. A pool with a seed ([`PoolOptions::random`](crate::PoolOptions::random)) reproduces them.
#[derive(Debug)]
pub struct RandomDraws(pub(crate) Rng);

impl RandomDraws {
    /// A number uniform over all of `u64`.
    pub fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number uniform in 0..1 (1 excluded).
    pub fn f64(&mut self) -> f64 {
        self.0.f64()
    }

    /// An index uniform in 0..`len`; 0 if `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.0.usize(..len.max(1))
    }
}

/// The policy of a pool. The default is dispatched statically, which keeps its pick free of indirect calls and allocations.
#[derive(Debug, Clone, Default)]
pub(crate) enum PolicyKind {
    #[default]
    TwoChoices,
    Custom(Arc<dyn Policy>),
}
