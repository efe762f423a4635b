//! The best rank that has anyone: members sorted by how good they are, once a change; which of them are ejected, at each pick.

use std::sync::Arc;

use fastrand::Rng;

use super::{Picker, Policy};
use crate::member::{Admission, Member, MemberId, Moment, Rank};

/// A picker for each rank that Consul's word gives, best first; ejection is looked up at each pick.
#[derive(Debug)]
pub(crate) struct Ranks<P> {
    /// Passing, warning, spare.
    live: [P; 3],
    reserve: P,
}

/// Whether the call that a pick is for may be made twice, so that it may be the probe of one that is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// It may: if it fails, another is tried, and its caller sees nothing of it.
    Probe,
    /// It may not, or it is not known. It probes only one that has waited for long.
    NotProbe,
}

/// Who was chosen.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) member: &'a Arc<Member>,
    /// It is ejected: this is its probe, or there is nobody else.
    pub(crate) is_out: bool,
}

impl<P: Picker> Ranks<P> {
    pub(crate) fn new(policy: &impl Policy<Picker = P>, members: &[Arc<Member>]) -> Self {
        let of = |rank| {
            let its = members.iter().filter(|member| member.rank_in_consul() == rank);
            policy.picker(its.cloned().collect())
        };
        Self {
            live: [of(Rank::Passing), of(Rank::Warning), of(Rank::Spare)],
            reserve: of(Rank::Reserve),
        }
    }

    /// One of the best rank that has anyone apart from those tried. One that is ejected and due is probed by the first try of a call only, if
    /// that may be made twice: a call that has failed once needs a good one.
    pub(crate) fn pick(
        &self,
        draws: &mut Rng,
        now: Moment,
        tried: &[MemberId],
        may: May,
    ) -> Option<Choice<'_>> {
        let is_new = |member: &Arc<Member>| !tried.contains(&member.stats.id());
        for picker in &self.live {
            let mut due = None;
            let chosen = picker.pick(draws, now, |member| match member.stats.admission(now) {
                Admission::In => is_new(member),
                Admission::Due if may == May::NotProbe => false,
                Admission::Out => false,
                Admission::Due | Admission::Overdue => {
                    due = Some(member);
                    false
                }
            });
            if let Some(member) = due.filter(|it| tried.is_empty() && it.stats.take_probe(now)) {
                return Some(Choice { member, is_out: true });
            }
            if let Some(member) = chosen {
                return Some(Choice { member, is_out: false });
            }
        }
        let ejected = self.live.iter().find_map(|picker| picker.pick(draws, now, is_new));
        if let Some(member) = ejected {
            return Some(Choice { member, is_out: true });
        }
        let may_take = |member: &Arc<Member>| !member.is_dropped() && is_new(member);
        let member = self.reserve.pick(draws, now, may_take)?;
        Some(Choice { member, is_out: false })
    }
}

#[cfg(test)]
mod tests;
