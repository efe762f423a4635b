//! Members and tiers for the tests of policies.

use std::sync::Arc;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    candidates::Candidates,
    policy::{Policy, PolicyKind, RandomDraws},
    tier::Tier,
    turns::Turns,
};
use crate::{
    Host, Instance, Weights,
    member::{EjectionLimit, Member, MemberStats, Moment},
};

pub(super) fn draws(seed: u64) -> RandomDraws {
    RandomDraws(Rng::with_seed(seed))
}

/// Members with these weights, on the ports from 1 on.
pub(super) fn members(weights: &[u16]) -> Vec<Arc<Member>> {
    let instance = |(port, &weight)| {
        let weights = Weights { passing: weight, warning: weight };
        Instance { weights, ..Instance::at("web", Host::from("10.0.0.1"), port) }
    };
    (1..).zip(weights).map(instance).map(member).collect()
}

pub(super) fn member(instance: Instance) -> Arc<Member> {
    let (epoch, limit) = (Instant::now(), Arc::<EjectionLimit>::default());
    let stats = Arc::new(MemberStats::new(epoch, limit, Arc::default(), Arc::default(), epoch));
    Arc::new(Member { instance: Arc::new(instance), stats, reserve_until: None })
}

pub(super) fn tier(weights: &[u16]) -> Tier {
    of(members(weights), &PolicyKind::TwoChoices)
}

/// Members of weight 1 at these distances.
pub(super) fn tier_at(distances: &[u8]) -> Tier {
    #[derive(Debug)]
    struct ByPort(Vec<u8>);
    impl Policy for ByPort {
        fn choose(&self, _: &Candidates<'_>, _: Option<u64>, _: &mut RandomDraws) -> usize {
            0
        }

        fn distance(&self, instance: &Instance) -> u8 {
            self.0[usize::from(instance.port) - 1]
        }
    }
    let policy = PolicyKind::Custom(Arc::new(ByPort(distances.to_vec())));
    of(members(&vec![1; distances.len()]), &policy)
}

pub(super) fn of(members: Vec<Arc<Member>>, policy: &PolicyKind) -> Tier {
    Tier::new(members, policy, &Arc::new(Turns::new(0)))
}

/// The counts of this many choices of a policy, per candidate.
pub(super) fn counts(
    policy: &impl Policy,
    candidates: &Candidates<'_>,
    picks: usize,
    seed: u64,
) -> Vec<usize> {
    let (mut counts, mut draws) = (vec![0; candidates.len()], draws(seed));
    (0..picks).for_each(|_| counts[policy.choose(candidates, None, &mut draws)] += 1);
    counts
}

/// All members of a tier.
pub(super) fn all(tier: &Tier) -> Candidates<'_> {
    Candidates::all(tier, Moment::default())
}

/// Asserts that counts are within so many of their share by weight.
#[track_caller]
pub(super) fn assert_shares(counts: &[usize], weights: &[u16], within: f64) {
    let (picks, total) =
        (counts.iter().sum::<usize>() as f64, weights.iter().map(|&it| f64::from(it)).sum::<f64>());
    for (&count, &weight) in counts.iter().zip(weights) {
        let expected = picks * f64::from(weight) / total;
        assert!((count as f64 - expected).abs() <= within, "{counts:?} by {weights:?}");
    }
}
