//! What holds for ejection after any answers, calls and times, by each policy.

use proptest::prelude::*;

use super::*;
use crate::{
    ConsistentHash, LeastInFlight, Locality, PoolOptions, Random, RoundRobin, UniformRandom,
    WeightedRandom,
};

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_is_never_the_probe_if_so_set() {
    for (time, probes) in [(Duration::from_secs(60), 1), (Duration::MAX, 0)] {
        let options = PoolOptions::new().consecutive_failures(1).repeatable_probes(time);
        let addresses = (1..=2).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let pool = Pool::fixed_with("web", addresses, options).unwrap();
        let first = pool.pick().unwrap();
        let ejected = port(&first);
        first.fail();
        advance(Duration::from_secs(100_000)).await;
        let picks = (0..100).map(|_| pool.pick().unwrap()).collect::<Vec<_>>();
        assert_eq!(picks.iter().filter(|pick| port(pick) == ejected).count(), probes, "{time:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Those of eight instances that are passing; at least one.
    Answer(u8),
    /// A call with this verdict, its first try or its second.
    Call(Verdict, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let server_error = Verdict { breaker: crate::BreakerEvent::ServerError, ..Verdict::SUCCESS };
    let verdict = prop::sample::select(vec![
        Verdict::SUCCESS,
        Verdict::FAILURE,
        Verdict::FAILURE,
        Verdict::REFUSED,
        Verdict::ABANDONED,
        server_error,
    ]);
    prop_oneof![
        1 => (1_u8..).prop_map(Step::Answer),
        20 => (verdict, any::<bool>()).prop_map(|(verdict, again)| Step::Call(verdict, again)),
        2 => (0_u64..5000).prop_map(Step::Wait),
    ]
}

fn options(policy: usize) -> PoolOptions {
    let new = PoolOptions::new().consecutive_failures(2).success_rate_calls_min(4);
    match policy {
        0 => new,
        1 => new.policy(RoundRobin),
        2 => new.policy(LeastInFlight::new()),
        3 => new.policy(UniformRandom),
        4 => new.policy(WeightedRandom),
        5 => new.policy(ConsistentHash::new()),
        _ => new.policy(Locality::new().datacenter("dc1")).slow_start(Duration::from_secs(3)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn at_most_half_are_ejected_and_a_pool_never_empties(
        policy in 0_usize..7, seed: u64, steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut now = Instant::now();
        let random = Random::seeded(seed);
        let pool = Pool::fixed_with("web", [], options(policy).random(random.clone())).unwrap();
        let answer = |passing: u8, now| {
            let ports = (0..8).filter(move |port| passing >> port & 1 == 1);
            let instances = ports.map(|port| instance(port, Status::Passing));
            pool.state.publish(snapshot(instances).into(), now);
        };
        answer(u8::MAX, now);
        for step in steps {
            match step {
                Step::Answer(passing) => answer(passing, now),
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Call(verdict, is_second) => {
                    let options = PickOptions::new().repeatable().key(random.u64()).at(now);
                    let first = pool.pick_with(options).unwrap();
                    let tried = [first.member()];
                    if is_second && let Ok(second) = pool.pick_with(options.apart_from(&tried)) {
                        prop_assert_ne!(second.member(), tried[0]);
                        drop(second.judge_at(verdict, now));
                    }
                    drop(first.judge_at(verdict, now));
                }
            }
            let published = pool.state.published();
            let live = published.members.iter().filter(|it| it.reserve_until.is_none());
            let out = live.clone().filter(|it| it.stats.ejected_until().is_some()).count();
            prop_assert!(out <= live.count() / 2, "{out} are ejected");
        }
    }
}
