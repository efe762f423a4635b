//! The rank of a member.

use crate::{Instance, Status};

/// The rank of a member at a moment; smaller is better. A pick uses the best rank that has an eligible member. Serialized in lower case.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// All checks pass.
    Passing,
    /// A check warns: picked only when none is passing, by its weight for warning.
    Warning,
    /// Passing or warning with a weight of 0: picked only when there is no other of these.
    Spare,
    /// Ejected because calls to it failed, regardless of its status in Consul.
    Ejected,
    /// Vanished from Consul, or turned critical without maintenance, a short while ago: Consul may be wrong.
    Reserve,
}

impl Rank {
    /// The rank by the status in Consul, without ejection. None for critical instances and those in maintenance: they are not members.
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        match instance.status {
            Status::Critical | Status::Maintenance => None,
            Status::Passing | Status::Warning if instance.weight() == 0 => Some(Self::Spare),
            Status::Passing => Some(Self::Passing),
            Status::Warning => Some(Self::Warning),
        }
    }
}
