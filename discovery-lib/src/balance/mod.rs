//! Choosing an instance: `ranks` decides which members are eligible, a policy chooses among these.
//!
//! The members of each rank are prepared once per change of the pool (`tier`). One file per policy: `p2c` (the default), `least_in_flight`,
//! `round_robin`, `random`, `consistent_hash`, `locality`; `rendezvous` is the order of instances by a key. `custom` passes the `candidates` to
//! any of them, or to the user's [`Policy`].

mod alias;
mod candidates;
mod consistent_hash;
mod custom;
mod hash;
mod least_in_flight;
mod locality;
mod p2c;
mod policy;
mod random;
mod ranks;
mod rendezvous;
mod round_robin;
mod tier;
mod turns;

use std::sync::Arc;

use crate::member::{Member, Moment};

pub use candidates::{Candidate, Candidates};
pub use consistent_hash::ConsistentHash;
pub use hash::hash_key;
pub use least_in_flight::LeastInFlight;
pub use locality::Locality;
pub use p2c::PeakEwma;
pub(crate) use policy::PolicyKind;
pub use policy::{Policy, RandomDraws};
pub use random::{UniformRandom, WeightedRandom};
pub(crate) use ranks::{Balancer, Probe, Ranks, Request};
pub use round_robin::RoundRobin;
use tier::Tier;

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

    /// Any member: all are eligible.
    #[inline]
    fn choose_any<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
    ) -> Option<&'a Arc<Member>> {
        self.choose(tier, draws, now, &mut |_| true)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
