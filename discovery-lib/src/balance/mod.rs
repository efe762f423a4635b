//! Choosing an instance: `ranks` decides which members are eligible, a policy chooses among these.
//!
//! The members of each rank are prepared once per change of the pool. One file per policy: `p2c` (the default), `rendezvous`
//! (the default for a call with a key), `round_robin`; `custom` adapts the public [`Policy`] trait.

mod alias;
mod custom;
mod p2c;
mod policy;
mod ranks;
mod rendezvous;
mod round_robin;

use std::sync::Arc;

use crate::member::{Member, Moment};

pub(crate) use policy::PolicyKind;
pub use policy::{Candidate, Candidates, Policy, RandomDraws};
use ranks::Tier;
pub(crate) use ranks::{Probe, Ranks, Request};
pub use round_robin::RoundRobin;

/// Whether a member may be chosen now.
trait Eligible<'a>: FnMut(&'a Arc<Member>) -> bool {}

impl<'a, F: FnMut(&'a Arc<Member>) -> bool> Eligible<'a> for F {}

/// Chooses one member of a tier.
trait Chooser {
    /// An eligible member; None only if there is none. Takes no lock and does not allocate.
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>>;
}

#[cfg(test)]
mod tests;
