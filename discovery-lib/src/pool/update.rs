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

/// How many members in a row may have changed, so that the next one is still found by its pointer.
const AHEAD_MAX: usize = 64;

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
    let same = same_values(known, answer);
    let (mut is_same, mut changed) = (vec![false; known.len()], HashSet::new());
    for (instance, same) in answer.iter().zip(&same) {
        match same {
            Some(place) => is_same[*place] = true,
            None => {
                changed.insert(key(instance));
            }
        }
    }
    let others: Vec<_> = (0..known.len()).filter(|&place| !is_same[place]).collect();
    let places: HashMap<_, _> =
        others.iter().map(|&place| (key(known[place].instance), place)).collect();
    let answered = answer.iter().zip(same).filter_map(|(instance, same)| {
        let is_copy = |&place: &usize| known[place].instance.is_same_copy(instance);
        let known_at = same.or_else(|| places.get(&key(instance)).copied().filter(is_copy));
        let reserve_until = match (instance.status, known_at) {
            (Status::Passing | Status::Warning, _) => None,
            (Status::Critical, Some(place)) => Some(known[place].reserve(reserve, now)?),
            (Status::Critical, None) | (Status::Maintenance, _) => return None,
        };
        Some(Next { instance: Arc::clone(instance), known: known_at, reserve_until })
    });
    // One that was replaced by another copy is not missing.
    let gone = others.into_iter().filter(|&place| !changed.contains(&key(known[place].instance)));
    let missing = missing(known, gone.collect(), answer).into_iter().filter_map(|place| {
        let reserve_until = Some(known[place].reserve(reserve, now)?);
        let instance = Arc::clone(known[place].instance);
        Some(Next { instance, known: Some(place), reserve_until })
    });
    answered.chain(missing).collect()
}

/// For each instance of the answer, the place of the member that has this very value: what did not change since the last answer costs the
/// comparison of a pointer. Both lists have the same order, except for what was added, removed or changed.
fn same_values(known: &[Known<'_>], answer: &[Arc<Instance>]) -> Vec<Option<usize>> {
    let mut expected = 0;
    let places = answer.iter().map(|instance| {
        let is_same = |it: &Known<'_>| Arc::ptr_eq(it.instance, instance);
        let ahead = known[expected..].iter().take(AHEAD_MAX).position(is_same)?;
        expected += ahead + 1;
        Some(expected - 1)
    });
    places.collect()
}

/// Of the members without an instance in the answer, those whose address belongs to no other instance either.
fn missing(known: &[Known<'_>], gone: Vec<usize>, answer: &[Arc<Instance>]) -> Vec<usize> {
    if gone.is_empty() {
        return gone;
    }
    let addresses: HashSet<_> = answer.iter().map(|instance| address(instance)).collect();
    let is_missing = |place: &usize| !addresses.contains(&address(known[*place].instance));
    gone.into_iter().filter(is_missing).collect()
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
