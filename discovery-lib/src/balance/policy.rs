//! The interface of a policy: it chooses one of the candidates that are eligible now.

use std::{fmt::Debug, sync::Arc};

use fastrand::Rng;

use super::candidates::Candidates;
use crate::Instance;

/// Chooses the instance of each pick.
///
/// The pool decides which instances are eligible (rank, ejection, probes, what the call has tried) and passes these alone, so a policy
/// compares candidates of one rank. The default is [`PeakEwma`](crate::PeakEwma); a table of the others is in the
/// [documentation of the crate](crate#policies). A policy is set with [`PoolOptions::policy`](crate::PoolOptions::policy) and is shared by all
/// picks, also of several pools: state such as whose turn it is belongs to the pool ([`Candidates::turn`]).
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

    /// How far away an instance is. The candidates are sorted by it, the nearest first. Default: all are equally far, 0.
    ///
    /// Called once per instance and change of the pool, not per pick.
    fn distance(&self, _: &Instance) -> u8 {
        0
    }

    /// Checks the settings of the policy, when a pool is created.
    ///
    /// # Errors
    ///
    /// A setting is out of bounds: the text says which, its value and the bounds.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Random numbers for one pick. A pool with a seed ([`PoolOptions::random`](crate::PoolOptions::random)) reproduces them.
#[derive(Debug)]
pub struct RandomDraws(pub(crate) Rng);

impl RandomDraws {
    /// A number uniform over all of `u64`.
    #[inline]
    pub fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number uniform in 0..1 (1 excluded).
    pub fn f64(&mut self) -> f64 {
        self.0.f64()
    }

    /// An index uniform in 0..`len`; 0 if `len` is 0.
    #[inline]
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

impl PolicyKind {
    /// # Errors
    /// A setting of the policy is out of bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::TwoChoices => Ok(()),
            Self::Custom(policy) => policy.check(),
        }
    }
}
