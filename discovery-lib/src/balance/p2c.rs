//! The power of two choices: of two members, one drawn by weight and one uniformly, the one with the smaller load.
//!
//! The load is latency x (in flight + 1) / weight. Mitzenmacher's two choices bound the longest queue; the latency is Finagle's peak EWMA.
//! Drawing the first by weight is an addition: without it, shares follow the weights only under load.

use std::sync::Arc;

use super::{
    Chooser, Eligible,
    policy::RandomDraws,
    ranks::{Entry, Tier},
};
use crate::member::{Member, Moment};

/// Random draws before the linear scan for an eligible member.
const DRAWS_MAX: usize = 8;

/// Two choices, by weighted load.
#[derive(Debug)]
pub(super) struct TwoChoices;

impl Chooser for TwoChoices {
    #[inline]
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>> {
        let first = first(tier, draws, eligible)?;
        let other = other_than(first, tier, draws, eligible);
        let (first, other) = (&tier.entries[first], other.map(|other| &tier.entries[other]));
        let lighter = other.filter(|other| is_lighter(other, first, now));
        Some(&lighter.unwrap_or(first).member)
    }
}

/// An eligible member by weight; if the random draws find none, the next one in order.
#[inline]
fn first<'a>(
    tier: &'a Tier,
    draws: &mut RandomDraws,
    eligible: &mut impl Eligible<'a>,
) -> Option<usize> {
    let count = tier.entries.len();
    if count == 0 {
        return None;
    }
    let drawn = (0..DRAWS_MAX).map(|_| tier.by_weight.draw(&mut draws.0));
    let mut may = |&index: &usize| eligible(&tier.entries[index].member);
    if let Some(index) = { drawn }.find(&mut may) {
        return Some(index);
    }
    let start = draws.0.usize(..count);
    (start..count).chain(0..start).find(may)
}

/// Another eligible member, drawn uniformly. None if the random draws find none.
#[inline]
fn other_than<'a>(
    first: usize,
    tier: &'a Tier,
    draws: &mut RandomDraws,
    eligible: &mut impl Eligible<'a>,
) -> Option<usize> {
    let others = tier.entries.len() - 1;
    let tries = if others < 2 { others } else { DRAWS_MAX };
    let drawn = (0..tries).map(|_| {
        let index = draws.0.usize(..others);
        if index < first { index } else { index + 1 }
    });
    { drawn }.find(|&index| eligible(&tier.entries[index].member))
}

/// Whether `other` has the smaller load, with one more call, than the member that was drawn by weight. The draw has accounted for the
/// difference in weight, so the next call counts no more for the first than for the other.
#[inline]
fn is_lighter(other: &Entry, first: &Entry, now: Moment) -> bool {
    let latency = other.member.stats.latency();
    let (slower, first_slower) = latency.handicaps(first.member.stats.latency(), now);
    let one_more = first.per_call.min(other.per_call);
    slower * (queue(other) + other.per_call) < first_slower * (queue(first) + one_more)
}

/// The calls in flight, relative to the weight.
fn queue(entry: &Entry) -> f32 {
    entry.member.stats.in_flight() as f32 * entry.per_call
}
