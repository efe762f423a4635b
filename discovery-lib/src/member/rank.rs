//! How good a member is now, in one place.

use crate::{Instance, Status};

/// How good a member is now; the smaller the better. A pick takes from the best rank that has anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// All checks pass.
    Passing,
    /// A check warns: only when none is passing, by the weight for that.
    Warning,
    /// Passing or warning with a weight of 0: only when nobody else is.
    Spare,
    /// Kept out because it failed its callers, whatever Consul says.
    Ejected,
    /// Vanished from Consul, or turned critical without maintenance, a short while ago: Consul may be wrong.
    Reserve,
}

impl Rank {
    /// The rank that Consul's word gives, ejection aside. None for critical ones and those in maintenance: they are no members.
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        match instance.status {
            Status::Critical | Status::Maintenance => None,
            Status::Passing | Status::Warning if instance.weight() == 0 => Some(Self::Spare),
            Status::Passing => Some(Self::Passing),
            Status::Warning => Some(Self::Warning),
        }
    }
}
