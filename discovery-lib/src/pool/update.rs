//! How a new answer changes the members of a pool: which stay, are new, become reserves, or are gone. Pure.
//!
//! Statistics belong to a running copy. Loss of the registry's data can't be distinguished from deregistration, so instances that vanish or
//! turn critical stay for a while as reserve: picked only when no better one is left, and dropped at the first refusal.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{Host, Instance, ServiceId, Status, member::Member};

/// A member before the update.
#[derive(Debug, Clone)]
pub(super) struct Known<'a> {
    pub(super) instance: &'a Arc<Instance>,
    /// Set for a reserve: when it ends.
    pub(super) reserve_until: Option<Instant>,
    /// A reserve that refused a caller.
    pub(super) is_dropped: bool,
}

/// A member after the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) instance: Arc<Instance>,
    /// The index of the same copy among the previous members; None for a new one.
    pub(super) known: Option<usize>,
    /// Set for a reserve: when it ends.
    pub(super) reserve_until: Option<Instant>,
}

/// The members after this answer: first those in it, in its order, then the reserves that are not in it.
pub(super) fn update(
    known: &[Known<'_>],
    answer: &[Arc<Instance>],
    reserve: Duration,
    now: Instant,
) -> Vec<Next> {
    let places: HashMap<_, _> =
        known.iter().enumerate().map(|(place, it)| (key(it.instance), place)).collect();
    let answered = answer.iter().filter_map(|instance| {
        let same = |&place: &usize| known[place].instance.is_same_copy(instance);
        let known_at = places.get(&key(instance)).copied().filter(same);
        let reserve_until = match (instance.status, known_at) {
            (Status::Passing | Status::Warning, _) => None,
            (Status::Critical, Some(place)) => Some(known[place].reserve(reserve, now)?),
            (Status::Critical, None) | (Status::Maintenance, _) => return None,
        };
        Some(Next { instance: Arc::clone(instance), known: known_at, reserve_until })
    });
    let keys: HashSet<_> = answer.iter().map(|instance| key(instance)).collect();
    let addresses: HashSet<_> = answer.iter().map(|instance| address(instance)).collect();
    // An instance that was replaced by another copy, or whose address belongs to another instance, is not missing.
    let is_missing = |it: &Known<'_>| {
        !keys.contains(&key(it.instance)) && !addresses.contains(&address(it.instance))
    };
    let missing =
        known.iter().enumerate().filter(|(_, it)| is_missing(it)).filter_map(|(place, it)| {
            let reserve_until = Some(it.reserve(reserve, now)?);
            Some(Next { instance: Arc::clone(it.instance), known: Some(place), reserve_until })
        });
    answered.chain(missing).collect()
}

/// The next change of the members without a new answer: the end of the first reserve.
pub(super) fn next_deadline(members: &[Next]) -> Option<Instant> {
    members.iter().filter_map(|member| member.reserve_until).min()
}

impl<'a> Known<'a> {
    pub(super) fn of(member: &'a Member) -> Self {
        Self {
            instance: &member.instance,
            reserve_until: member.reserve_until,
            is_dropped: member.is_dropped(),
        }
    }

    /// The end of its time as reserve; None if that is over, or it refused.
    fn reserve(&self, max: Duration, now: Instant) -> Option<Instant> {
        let until = self.reserve_until.unwrap_or(now + max);
        (until > now && !self.is_dropped).then_some(until)
    }
}

/// The key of a copy. One copy at a time has it.
pub(super) fn key(instance: &Instance) -> (&str, &ServiceId) {
    (&instance.node, &instance.id)
}

fn address(instance: &Instance) -> (&Host, u16) {
    (&instance.host, instance.port)
}

#[cfg(test)]
mod tests;
