//! The power of two choices: of two members, one drawn by weight and one at random, the one with the smaller load.
//!
//! The load is latency x (in flight + 1) / weight. Mitzenmacher's two choices bound the longest queue; the latency is Finagle's peak EWMA. Drawing
//! the first by weight is our addition: at rest, when nothing is in flight, shares follow the weights too, and not only under pressure.

use std::sync::Arc;

use fastrand::Rng;

use super::{Picker, Policy, alias::Alias};
use crate::member::{Member, Moment};

/// So often a draw that meets one who may not be taken is repeated; then the first who may is looked for.
const DRAWS_MAX: usize = 8;

/// Two choices, by weighted load.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TwoChoices;

/// Two choices among these.
#[derive(Debug)]
pub(crate) struct Two {
    candidates: Box<[Candidate]>,
    by_weight: Alias,
}

#[derive(Debug)]
struct Candidate {
    member: Arc<Member>,
    /// One over its weight: how heavy one call is for it.
    per_call: f32,
}

impl Policy for TwoChoices {
    type Picker = Two;

    fn picker(&self, members: Vec<Arc<Member>>) -> Two {
        let weights: Vec<u16> = members.iter().map(|member| member.instance.weight()).collect();
        let candidates = members
            .into_iter()
            .zip(&weights)
            .map(|(member, &weight)| Candidate { member, per_call: 1.0 / f32::from(weight.max(1)) })
            .collect();
        Two { candidates, by_weight: Alias::new(&weights) }
    }
}

impl Picker for Two {
    fn pick<'a>(
        &'a self,
        draws: &mut Rng,
        now: Moment,
        mut may_take: impl FnMut(&'a Arc<Member>) -> bool,
    ) -> Option<&'a Arc<Member>> {
        let first = self.first(draws, &mut may_take)?;
        let other = self.other_than(first, draws, &mut may_take);
        let (first, other) = (&self.candidates[first], other.map(|other| &self.candidates[other]));
        let lighter = other.filter(|other| other.is_lighter_than(first, now));
        Some(&lighter.unwrap_or(first).member)
    }
}

impl Two {
    /// One by weight; if luck doesn't find one who may be taken, the next who may.
    fn first<'a>(
        &'a self,
        draws: &mut Rng,
        may_take: &mut impl FnMut(&'a Arc<Member>) -> bool,
    ) -> Option<usize> {
        let count = self.candidates.len();
        if count == 0 {
            return None;
        }
        let drawn = (0..DRAWS_MAX).map(|_| self.by_weight.draw(draws));
        let mut may = |&index: &usize| may_take(&self.candidates[index].member);
        if let Some(index) = { drawn }.find(&mut may) {
            return Some(index);
        }
        let start = draws.usize(..count);
        (start..count).chain(0..start).find(may)
    }

    /// Any other, all alike. None if luck finds none who may be taken.
    fn other_than<'a>(
        &'a self,
        first: usize,
        draws: &mut Rng,
        may_take: &mut impl FnMut(&'a Arc<Member>) -> bool,
    ) -> Option<usize> {
        let others = self.candidates.len() - 1;
        let tries = if others < 2 { others } else { DRAWS_MAX };
        let drawn = (0..tries).map(|_| {
            let index = draws.usize(..others);
            if index < first { index } else { index + 1 }
        });
        { drawn }.find(|&index| may_take(&self.candidates[index].member))
    }
}

impl Candidate {
    /// Whether it has the smaller load, with one more call, than the one that was drawn by weight. That draw has already paid for the
    /// difference in weight: so the call to come is no heavier for the first than for this one.
    fn is_lighter_than(&self, first: &Self, now: Moment) -> bool {
        let (ours, theirs) = (&self.member.stats, &first.member.stats);
        let (slower, first_slower) = ours.latency().handicaps(theirs.latency(), now);
        let one_more = first.per_call.min(self.per_call);
        slower * (self.queue() + self.per_call) < first_slower * (first.queue() + one_more)
    }

    /// What is in flight, as much as it means for one of this weight.
    fn queue(&self) -> f32 {
        self.member.stats.in_flight() as f32 * self.per_call
    }
}
