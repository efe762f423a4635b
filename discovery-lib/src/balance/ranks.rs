//! Which members are eligible for a pick: the best rank that has any, without ejected members and without those that the call has tried.
//!
//! Members are sorted by rank once per change of the pool; ejection is looked up at each pick.

use std::sync::Arc;

use super::{
    Chooser, PolicyKind, RandomDraws, Tier, custom::Custom, p2c::TwoChoices,
    rendezvous::Rendezvous, turns::Turns,
};
use crate::{
    PoolOptions,
    member::{Admission, EjectionLimit, Member, MemberId, Moment, Rank},
};

/// What all states of one pool share.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    policy: PolicyKind,
    turns: Arc<Turns>,
    limit: Arc<EjectionLimit>,
}

/// The members of a pool by the rank of their status in Consul, best first.
#[derive(Debug)]
pub(crate) struct Ranks {
    balancer: Balancer,
    /// Passing, warning, spare.
    live: [Tier; 3],
    reserve: Tier,
}

/// Whether a call may probe an ejected member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Probe {
    /// As soon as the ejection is over: the call can be repeated, so its caller does not notice a failure.
    Allowed,
    /// Only when no other call has probed the member for a long time: the call must not be repeated, or this is unknown.
    #[default]
    Delayed,
}

/// The requirements of one pick.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    pub(crate) tried: &'a [MemberId],
    pub(crate) probe: Probe,
    pub(crate) key: Option<u64>,
}

/// The chosen member.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) member: &'a Arc<Member>,
    /// It is ejected: the pick is its probe, or there is no other member.
    pub(crate) is_out: bool,
}

impl Balancer {
    pub(crate) fn new(options: &PoolOptions, limit: &Arc<EjectionLimit>) -> Self {
        let turns = Arc::new(Turns::new(options.seed()));
        Self { policy: options.policy.clone(), turns, limit: Arc::clone(limit) }
    }
}

impl Ranks {
    pub(crate) fn new(balancer: &Balancer, members: &[Arc<Member>]) -> Self {
        let Balancer { policy, turns, .. } = balancer;
        let of = |rank| {
            let members = members.iter().filter(|it| it.rank_in_consul() == rank);
            Tier::new(members.cloned().collect(), policy, turns)
        };
        Self {
            balancer: balancer.clone(),
            live: [of(Rank::Passing), of(Rank::Warning), of(Rank::Spare)],
            reserve: of(Rank::Reserve),
        }
    }

    /// A member of the best rank that has an eligible one.
    #[inline]
    pub(crate) fn pick(
        &self,
        draws: &mut RandomDraws,
        now: Moment,
        request: Request<'_>,
    ) -> Option<Choice<'_>> {
        match &self.balancer.policy {
            PolicyKind::TwoChoices => match request.key {
                None => self.pick_by(&TwoChoices, draws, now, request),
                Some(key) => self.pick_by(&Rendezvous { key }, draws, now, request),
            },
            PolicyKind::Custom(policy) => {
                let custom = Custom { policy: &**policy, key: request.key };
                self.pick_by(&custom, draws, now, request)
            }
        }
    }

    #[inline]
    fn pick_by(
        &self,
        chooser: &impl Chooser,
        draws: &mut RandomDraws,
        now: Moment,
        request: Request<'_>,
    ) -> Option<Choice<'_>> {
        if request.tried.is_empty() && self.balancer.limit.is_calm(now) {
            for tier in &self.live {
                if let Some(member) = chooser.choose_any(tier, draws, now) {
                    return Some(Choice { member, is_out: false });
                }
            }
        }
        self.pick_eligible(chooser, draws, now, request)
    }

    /// Only the first try of a call probes a member whose ejection is over: a call that has failed once needs a healthy member.
    fn pick_eligible<'s>(
        &'s self,
        chooser: &impl Chooser,
        draws: &mut RandomDraws,
        now: Moment,
        request: Request<'_>,
    ) -> Option<Choice<'s>> {
        let Request { tried, probe, key: _ } = request;
        let mut is_new = |member: &Arc<Member>| !tried.contains(&member.stats.id());
        let has_starting = self.balancer.limit.has_starting(now);
        // A member in its slow start is eligible for a part of the picks; if there is no other, for all.
        let luck = if has_starting { draws.0.f32() } else { 0.0 };
        for tier in &self.live {
            let mut due = None;
            let mut admitted = |member: &'s Arc<Member>| match member.stats.admission(now) {
                Admission::In => is_new(member),
                Admission::Due if probe == Probe::Delayed => false,
                Admission::Out => false,
                Admission::Due | Admission::Overdue => {
                    due = Some(member);
                    false
                }
            };
            let mut eligible =
                |member: &'s Arc<Member>| admitted(member) && luck < member.stats.share(now);
            let mut chosen = chooser.choose(tier, draws, now, &mut eligible);
            if chosen.is_none() && has_starting {
                chosen = chooser.choose(tier, draws, now, &mut admitted);
            }
            if let Some(member) = due.filter(|it| tried.is_empty() && it.stats.take_probe(now)) {
                return Some(Choice { member, is_out: true });
            }
            if let Some(member) = chosen {
                return Some(Choice { member, is_out: false });
            }
        }
        let mut of = |tier| chooser.choose(tier, draws, now, &mut is_new);
        if let Some(member) = self.live.iter().find_map(&mut of) {
            return Some(Choice { member, is_out: true });
        }
        let mut eligible = |member: &Arc<Member>| !member.is_dropped() && is_new(member);
        let member = chooser.choose(&self.reserve, draws, now, &mut eligible)?;
        Some(Choice { member, is_out: false })
    }
}

#[cfg(test)]
mod tests;
