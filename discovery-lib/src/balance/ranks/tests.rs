//! The rank that a pick uses, and the calls that may probe.

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

use super::{Balancer, Probe, Ranks, Request};
use crate::{
    Host, Instance, PoolOptions, Status, Verdict, Weights,
    balance::RandomDraws,
    member::{Call, EjectionLimit, Member, MemberId, MemberStats, Moment, Rank},
};

/// Long before the end of any ejection.
const NOW: Moment = Moment::from_micros(1000);
/// After the first ejection.
const LATER: Moment = Moment::from_micros(2_000_000);

/// A member that was or was not refused (reserves) or ejected (others).
fn member(rank: Rank, port: u16, limit: &Arc<EjectionLimit>) -> Arc<Member> {
    let status = if rank == Rank::Warning { Status::Warning } else { Status::Passing };
    let weight = u16::from(rank != Rank::Spare);
    let weights = Weights { passing: weight, warning: weight };
    let instance =
        Instance { status, weights, ..Instance::at("web", Host::from("10.0.0.1"), port) };
    let epoch = Instant::now();
    let member = Member {
        instance: Arc::new(instance),
        stats: Arc::new(MemberStats::new(
            epoch,
            Arc::clone(limit),
            Arc::default(),
            Arc::default(),
            epoch,
        )),
        reserve_until: (rank == Rank::Reserve).then_some(epoch),
    };
    if rank == Rank::Reserve {
        member.stats.switch_off();
    }
    if rank == Rank::Ejected {
        (0..5).for_each(|_| judge(&member, Verdict::FAILURE, false));
    }
    Arc::new(member)
}

fn judge(member: &Member, verdict: Verdict, is_out: bool) {
    member.stats.judge(verdict, Call { picked: NOW, is_out }, NOW, || 0.0);
}

fn members(ranks: &[Rank]) -> (Vec<Arc<Member>>, Ranks) {
    let limit = Arc::<EjectionLimit>::default();
    limit.allow(50, 2 * ranks.len());
    let members: Vec<_> =
        (1..).zip(ranks).map(|(port, &rank)| member(rank, port, &limit)).collect();
    let ranks = Ranks::new(&Balancer::new(&PoolOptions::new(), &limit), &members);
    (members, ranks)
}

fn draws(seed: u64) -> RandomDraws {
    RandomDraws(Rng::with_seed(seed))
}

fn first(tried: &[MemberId], probe: Probe) -> Request<'_> {
    Request { tried, probe, key: None }
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
                tried.push(member.stats.id());
            }
        }
        let choice = ranks.pick(&mut draws(seed), NOW, first(&tried, Probe::Allowed));
        prop_assert_eq!(choice.as_ref().map(|choice| choice.member.rank(NOW)), best);
        if let Some(choice) = choice {
            prop_assert!(!tried.contains(&choice.member.stats.id()));
            prop_assert_eq!(choice.is_out, best == Some(Rank::Ejected));
        }
    }
}

#[test]
fn a_member_whose_ejection_is_over_is_probed_once_and_by_a_first_try_only() {
    let (members, ranks) = members(&[Rank::Ejected, Rank::Passing, Rank::Passing]);
    let mut three = draws(3);
    let mut probes = |tried: &[MemberId], picks| {
        (0..picks)
            .filter(|_| ranks.pick(&mut three, LATER, first(tried, Probe::Allowed)).unwrap().is_out)
            .count()
    };
    assert_eq!(probes(&[members[1].stats.id()], 100), 0);
    assert_eq!(probes(&[], 100), 1);
    members[0].stats.judge(Verdict::ABANDONED, Call { picked: LATER, is_out: true }, LATER, || 0.0);
    assert_eq!(probes(&[], 100), 0, "not again immediately");
    let again = LATER.after(Duration::from_secs(2));
    assert!(
        (0..100)
            .any(|_| ranks.pick(&mut draws(4), again, first(&[], Probe::Allowed)).unwrap().is_out)
    );
}

#[test]
fn a_call_that_must_not_be_repeated_probes_only_after_a_minute_without_a_probe() {
    let until = Moment::from_micros(1000).after(Duration::from_secs(1));
    for (later, probes) in [(0, 0), (59, 0), (60, 1), (3600, 1)] {
        let (_, ranks) = members(&[Rank::Ejected, Rank::Passing, Rank::Passing]);
        let (now, mut draws) = (until.after(Duration::from_secs(later)), draws(3));
        let mut is_probe = |may| ranks.pick(&mut draws, now, first(&[], may)).unwrap().is_out;
        let taken = (0..100).filter(|_| is_probe(Probe::Delayed)).count();
        assert_eq!(taken, probes, "{later} s after its ejection");
        let taken = (0..100).filter(|_| is_probe(Probe::Allowed)).count();
        assert_eq!(
            taken,
            1 - probes,
            "{later} s after its ejection, unless it was probed just now"
        );
    }
}

#[test]
fn one_of_two_concurrent_picks_is_the_probe() {
    for _ in 0..500 {
        let (_, ranks) = members(&[Rank::Ejected, Rank::Passing]);
        let here = AtomicU8::new(0);
        let probes = || {
            let mut draws = RandomDraws(Rng::new());
            here.fetch_add(1, Relaxed);
            // Both spin, because a woken thread would start too late to race with the other.
            while here.load(Relaxed) < 2 {
                thread::yield_now();
            }
            let mut is_probe =
                || ranks.pick(&mut draws, LATER, first(&[], Probe::Allowed)).unwrap().is_out;
            (0..20).filter(|_| is_probe()).count()
        };
        let both = thread::scope(|scope| {
            let other = scope.spawn(probes);
            probes() + other.join().unwrap()
        });
        assert_eq!(both, 1);
    }
}
