//! The best rank that has anyone: members sorted by how good they are, once a change; which of them are ejected, at each pick.

use std::sync::Arc;

use fastrand::Rng;

use super::{Picker, Policy};
use crate::member::{Member, MemberId, Moment, Rank, Standing};

/// A picker for each rank that Consul's word gives, best first; ejection is looked up at each pick.
#[derive(Debug)]
pub(crate) struct Ranks<P> {
    /// Passing, warning, spare.
    live: [P; 3],
    reserve: P,
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

    /// One of the best rank that has anyone apart from those tried. One that is ejected and due is probed by the first try of a call only: who
    /// has failed once needs a good one.
    pub(crate) fn pick(
        &self,
        draws: &mut Rng,
        now: Moment,
        tried: &[MemberId],
    ) -> Option<Choice<'_>> {
        let is_new = |member: &Arc<Member>| !tried.contains(&member.learnt.id());
        for picker in &self.live {
            let mut due = None;
            let chosen = picker.pick(draws, now, |member| match member.learnt.standing(now) {
                Standing::In => is_new(member),
                Standing::Out => false,
                Standing::Due => {
                    due = Some(member);
                    false
                }
            });
            if let Some(member) = due.filter(|it| tried.is_empty() && it.learnt.take_probe(now)) {
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
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU8, Ordering::Relaxed},
        },
        thread,
        time::Duration,
    };

    use fastrand::Rng;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::Ranks;
    use crate::{
        Host, Instance, Status, Verdict, Weights,
        balance::{Policy, TwoChoices},
        member::{Allowance, Call, Learnt, Member, MemberId, Moment, Rank},
    };

    type TwoRanks = Ranks<<TwoChoices as Policy>::Picker>;

    /// Long before any ejection is over.
    const NOW: Moment = Moment::from_micros(1000);
    /// After the first ejection.
    const LATER: Moment = Moment::from_micros(2_000_000);

    /// A member that was or was not refused (reserves) or ejected (others).
    fn member(rank: Rank, port: u16, allowance: &Arc<Allowance>) -> Arc<Member> {
        let status = if rank == Rank::Warning { Status::Warning } else { Status::Passing };
        let weight = u16::from(rank != Rank::Spare);
        let weights = Weights { passing: weight, warning: weight };
        let instance =
            Instance { status, weights, ..Instance::at("web", Host::from("10.0.0.1"), port) };
        let epoch = Instant::now();
        let member = Member {
            instance: Arc::new(instance),
            learnt: Arc::new(Learnt::new(epoch, Arc::clone(allowance), epoch)),
            reserve_until: (rank == Rank::Reserve).then_some(epoch),
        };
        if rank == Rank::Reserve {
            member.learnt.switch_off();
        }
        if rank == Rank::Ejected {
            (0..5).for_each(|_| judge(&member, Verdict::FAILURE, false));
        }
        Arc::new(member)
    }

    fn judge(member: &Member, verdict: Verdict, is_out: bool) {
        member.learnt.judge(verdict, Call { picked: NOW, is_out }, NOW, || 0.0);
    }

    fn members(ranks: &[Rank]) -> (Vec<Arc<Member>>, TwoRanks) {
        let allowance = Arc::<Allowance>::default();
        allowance.allow_half_of(2 * ranks.len());
        let members: Vec<_> =
            (1..).zip(ranks).map(|(port, &rank)| member(rank, port, &allowance)).collect();
        let ranks = Ranks::new(&TwoChoices, &members);
        (members, ranks)
    }

    fn rank() -> impl Strategy<Value = Rank> {
        prop::sample::select(vec![
            Rank::Passing,
            Rank::Warning,
            Rank::Spare,
            Rank::Ejected,
            Rank::Reserve,
        ])
    }

    proptest! {
        #[test]
        fn a_pick_is_of_the_best_rank_that_has_anyone_else(
            spec in prop::collection::vec((rank(), any::<bool>(), prop::bool::weighted(0.3)), 0..12), seed: u64,
        ) {
            let (members, ranks) = members(&spec.iter().map(|it| it.0).collect::<Vec<_>>());
            let mut tried = Vec::new();
            let mut best = None;
            for (member, &(rank, is_tried, is_refused)) in members.iter().zip(&spec) {
                if is_refused && rank == Rank::Reserve {
                    judge(member, Verdict::REFUSED, false);
                } else if !is_tried {
                    best = Some(best.map_or(rank, |best| rank.min(best)));
                }
                if is_tried {
                    tried.push(member.learnt.id());
                }
            }
            let choice = ranks.pick(&mut Rng::with_seed(seed), NOW, &tried);
            prop_assert_eq!(choice.as_ref().map(|choice| choice.member.rank(NOW)), best);
            if let Some(choice) = choice {
                prop_assert!(!tried.contains(&choice.member.learnt.id()));
                prop_assert_eq!(choice.is_out, best == Some(Rank::Ejected));
            }
        }
    }

    #[test]
    fn one_whose_ejection_is_over_is_probed_once_and_by_a_first_try_only() {
        let (members, ranks) = members(&[Rank::Ejected, Rank::Passing, Rank::Passing]);
        let mut draws = Rng::with_seed(3);
        let mut probes = |tried: &[MemberId], picks| {
            (0..picks).filter(|_| ranks.pick(&mut draws, LATER, tried).unwrap().is_out).count()
        };
        assert_eq!(probes(&[members[1].learnt.id()], 100), 0);
        assert_eq!(probes(&[], 100), 1);
        members[0].learnt.judge(
            Verdict::ABANDONED,
            Call { picked: LATER, is_out: true },
            LATER,
            || 0.0,
        );
        assert_eq!(probes(&[], 100), 0, "not at once again");
        let again = LATER.after(Duration::from_secs(2));
        assert!((0..100).any(|_| ranks.pick(&mut Rng::with_seed(4), again, &[]).unwrap().is_out));
    }

    #[test]
    fn of_two_threads_at_the_same_moment_one_gets_the_probe() {
        for _ in 0..500 {
            let (_, ranks) = members(&[Rank::Ejected, Rank::Passing]);
            let here = AtomicU8::new(0);
            let probes = || {
                let mut draws = Rng::new();
                here.fetch_add(1, Relaxed);
                // Spinning, since who is woken comes too late to meet the other.
                while here.load(Relaxed) < 2 {
                    thread::yield_now();
                }
                let mut is_probe = || ranks.pick(&mut draws, LATER, &[]).unwrap().is_out;
                (0..20).filter(|_| is_probe()).count()
            };
            let both = thread::scope(|scope| {
                let other = scope.spawn(probes);
                probes() + other.join().unwrap()
            });
            assert_eq!(both, 1);
        }
    }
}
