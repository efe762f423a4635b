//! The members of one rank, prepared once per change of the pool.

use std::sync::Arc;

use super::{alias::Alias, hash, policy::PolicyKind, turns::Turns};
use crate::member::Member;

/// The members of one rank, the nearest first.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) entries: Box<[Entry]>,
    pub(super) by_weight: Alias,
    pub(super) weight_max: u16,
    /// The ends of the runs of equal distance.
    pub(super) levels: Box<[usize]>,
    pub(super) turns: Arc<Turns>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) member: Arc<Member>,
    /// One over its weight: the load of one call.
    pub(super) per_call: f32,
    /// At least 1: among members of weight 0, which are picked only if there is no other, all are equal.
    pub(super) weight: u16,
    pub(super) distance: u8,
    /// A hash of its id and node.
    pub(super) identity: u64,
}

impl Tier {
    pub(super) fn new(members: Vec<Arc<Member>>, policy: &PolicyKind, turns: &Arc<Turns>) -> Self {
        let mut entries: Vec<_> =
            members.into_iter().map(|member| Entry::new(member, policy)).collect();
        // Stable, so that the order of equally distant members is that of the pool.
        entries.sort_by_key(|entry| entry.distance);
        let weights: Vec<u16> = entries.iter().map(|entry| entry.weight).collect();
        let mut end = 0;
        let levels = entries.chunk_by(|one, next| one.distance == next.distance).map(|level| {
            end += level.len();
            end
        });
        Self {
            levels: levels.collect(),
            by_weight: Alias::new(&weights),
            weight_max: weights.into_iter().max().unwrap_or(1),
            entries: entries.into(),
            turns: Arc::clone(turns),
        }
    }
}

impl Entry {
    fn new(member: Arc<Member>, policy: &PolicyKind) -> Self {
        let instance = &member.instance;
        let weight = instance.weight().max(1);
        let distance = match policy {
            PolicyKind::TwoChoices => 0,
            PolicyKind::Custom(policy) => policy.distance(instance),
        };
        let identity = hash::identity(instance);
        Self { per_call: 1.0 / f32::from(weight), weight, distance, identity, member }
    }

    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        self.member.stats.in_flight()
    }

    /// The calls in flight, relative to the weight.
    #[inline]
    pub(super) fn queue(&self) -> f32 {
        self.in_flight() as f32 * self.per_call
    }

    /// The calls in flight with one more, relative to the weight.
    #[inline]
    pub(super) fn queue_with_one_more(&self) -> f32 {
        self.queue() + self.per_call
    }
}
