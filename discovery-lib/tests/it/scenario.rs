//! The scenario of `benches/scenario`: one bad instance of eleven, on a paused clock, by seed.

#[path = "../../benches/scenario/model.rs"]
mod model;

use model::{Case, Fault, success_percent};

fn case(name: &str) -> Case {
    Case::all().into_iter().find(|case| case.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_default_policy_loses_less_than_one_call_in_a_thousand() {
    for fault in Fault::ALL {
        let success = success_percent(fault, &case("default"), 1).await;
        assert!(success >= 99.9, "{fault:?}: {success} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_instance_costs_round_robin_its_share_and_the_default_almost_nothing() {
    for (name, published) in
        [("RoundRobin", 94.0..97.0), ("LeastInFlight", 98.5..100.0), ("default", 99.8..100.0)]
    {
        let case = case(name).without_ejection();
        let success = success_percent(Fault::Stuck, &case, 1).await;
        assert!(published.contains(&success), "{name}: {success} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_instance_costs_a_policy_no_more_than_its_first_calls_and_probes() {
    for name in ["LeastInFlight", "RoundRobin", "ConsistentHash", "Locality"] {
        let success = success_percent(Fault::FailsAtOnce, &case(name), 1).await;
        assert!(success >= 99.8, "{name}: {success} %");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_start_helps_a_policy_that_ignores_latency() {
    let slowly = |seconds| {
        let case = case("RoundRobin").without_ejection();
        let options = case.options.slow_start(std::time::Duration::from_secs(seconds));
        Case { options, ..case }
    };
    let at_once = success_percent(Fault::NewAndCold, &slowly(0), 1).await;
    let gradually = success_percent(Fault::NewAndCold, &slowly(20), 1).await;
    let (lost, fewer) = (100.0 - at_once, 100.0 - gradually);
    assert!(fewer < lost * 0.7, "{lost} % and {fewer} %");
}

#[tokio::test(start_paused = true)]
async fn a_seed_reproduces_a_run() {
    let run = || async { success_percent(Fault::Stuck, &case("default"), 3).await };
    assert_eq!(run().await, run().await);
    let other = success_percent(Fault::Stuck, &case("RoundRobin"), 4).await;
    assert_ne!(success_percent(Fault::Stuck, &case("RoundRobin"), 3).await, other);
}
