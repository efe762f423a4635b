//! Each counter counts what its name says, once.

use std::{sync::Arc, thread, time::Duration};

use http::{Method, StatusCode};
use tokio::{sync::watch, time::Instant};

use super::{Kind, Metrics};
use crate::{
    CallOptions, Instance, Origin, Pick, Pool, PoolOptions, Snapshot, TlsError, TryError, Verdict,
    Watched,
    error::{Error, Kind as ErrorKind},
    tries::{Budget, Stop, Tries, TryOutcome},
};

fn of_ports(ports: impl IntoIterator<Item = u16>, options: PoolOptions) -> Pool {
    let addresses = ports.into_iter().map(|port| ([127, 0, 0, 1], port).into());
    Pool::fixed_with("web", addresses, options).unwrap()
}

/// The value of a metric of `web` without another label.
#[track_caller]
fn value(pools: &[&Pool], name: &str) -> f64 {
    Metrics::of_pools(pools.iter().copied()).get(name, &[("service", "web")]).expect(name)
}

#[track_caller]
fn by(pool: &Pool, name: &str, label: (&str, &str)) -> f64 {
    Metrics::of_pools([pool]).get(name, &[("service", "web"), label]).expect(name)
}

#[test]
fn results_are_counted_by_whether_they_are_failures() {
    let pool = of_ports([1, 2], PoolOptions::new().ejected_max(0));
    let pick = || pool.pick().unwrap();
    type End = fn(Pick);
    let results: [(End, f64, f64); 6] = [
        (Pick::succeed, 1.0, 0.0),
        (Pick::fail, 2.0, 1.0),
        // The head of a good response, whose body ends well.
        (|pick| drop(pick.judge(Verdict::ANSWERED)), 3.0, 1.0),
        (|pick| pick.judge(Verdict::ANSWERED).judge(Verdict::FAILURE), 4.0, 2.0),
        (|pick| drop(pick.judge(Verdict::REFUSED)), 5.0, 3.0),
        // Abandoned: it has no result.
        (drop, 5.0, 3.0),
    ];
    for (row, (end, results, failures)) in results.into_iter().enumerate() {
        end(pick());
        let seen = (value(&[&pool], "discovery_calls"), value(&[&pool], "discovery_calls_failed"));
        assert_eq!(seen, (results, failures), "row {row}");
    }
    let _open = (pick(), pick().judge(Verdict::ANSWERED));
    assert_eq!(value(&[&pool], "discovery_calls_in_flight"), 2.0);
}

#[test]
fn an_ejection_is_counted_and_so_are_the_results_of_its_probe() {
    let pool = of_ports([1, 2], PoolOptions::new().consecutive_failures(1));
    pool.pick().unwrap().fail();
    assert_eq!(value(&[&pool], "discovery_ejections"), 1.0);
    for (rank, count) in [("passing", 1.0), ("ejected", 1.0), ("reserve", 0.0)] {
        assert_eq!(by(&pool, "discovery_members", ("rank", rank)), count, "{rank}");
    }
    let only = of_ports([1], PoolOptions::new().consecutive_failures(1).ejected_max(100));
    only.pick().unwrap().fail();
    // It is ejected, and there is no other.
    only.pick().unwrap().fail();
    only.pick().unwrap().succeed();
    assert_eq!(value(&[&only], "discovery_calls"), 3.0);
    assert_eq!(value(&[&only], "discovery_calls_failed"), 2.0);
}

#[test]
fn pools_of_one_service_are_added_up() {
    let (one, other) = (of_ports([1], PoolOptions::new()), of_ports([2, 3], PoolOptions::new()));
    one.pick().unwrap().succeed();
    other.pick().unwrap().succeed();
    assert_eq!(value(&[&one, &other], "discovery_calls"), 2.0);
    let metrics = Metrics::of_pools([&one, &other]);
    let passing = [("service", "web"), ("rank", "passing")];
    assert_eq!(metrics.get("discovery_members", &passing), Some(3.0));
}

#[test]
fn no_result_is_lost_or_counted_twice_while_metrics_are_read() {
    const CALLS: u32 = 20_000;
    let pool = of_ports([1, 2, 3], PoolOptions::new());
    let mut last = 0.0;
    thread::scope(|scope| {
        let calls = || (0..CALLS).for_each(|_| pool.pick().unwrap().succeed());
        let callers = [scope.spawn(calls), scope.spawn(calls)];
        let read = || (0..200).for_each(|_| _ = value(&[&pool], "discovery_calls"));
        scope.spawn(read);
        while callers.iter().any(|caller| !caller.is_finished()) {
            let now = value(&[&pool], "discovery_calls");
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    });
    assert_eq!(value(&[&pool], "discovery_calls"), f64::from(CALLS * 2));
}

#[tokio::test]
async fn results_of_an_instance_that_left_stay_counted() {
    let list = |ports: &[u16]| -> Watched {
        let instance = |port: &u16| Arc::new(Instance::at("web", "10.0.0.1".into(), *port));
        Snapshot::new(ports.iter().map(instance), Origin::Catalog, Instant::now()).into()
    };
    let (answers, watched) = watch::channel(list(&[1]));
    let options = PoolOptions::new().reserve(Duration::ZERO);
    let pool = Pool::from_watch_with("web", watched, options).unwrap();
    pool.ready().await.unwrap();
    pool.pick().unwrap().succeed();
    let late = pool.pick().unwrap();
    answers.send_replace(list(&[2]));
    late.gone().await;
    late.succeed();
    assert_eq!(value(&[&pool], "discovery_calls"), 2.0);
}

#[test]
fn tries_are_counted_by_what_they_met() {
    let not_connected = TryOutcome::NotConnected(TryError::Refused);
    let no_answer = |why| TryOutcome::NoAnswer { why, reused: false };
    let status = TryOutcome::of_head(StatusCode::BAD_GATEWAY, |_| None);
    let misdirected = TryOutcome::of_head(StatusCode::MISDIRECTED_REQUEST, |_| None);
    for (outcome, reason) in [
        (not_connected, "not connected"),
        (TryOutcome::NotConnected(TryError::Tls(TlsError::Expired)), "tls"),
        (no_answer(TryError::Closed), "closed"),
        (TryOutcome::NotConnected(TryError::StreamRefused), "closed"),
        (no_answer(TryError::Silent(Duration::from_secs(1))), "late"),
        (no_answer(TryError::Garbled), "invalid"),
        (TryOutcome::OutOfTime(TryError::BodyFailed), "request body"),
        (misdirected, "misdirected"),
        (status, "status"),
    ] {
        let (pool, now) = (of_ports([1, 2], PoolOptions::new()), Instant::now());
        let mut tries = Tries::new(Method::GET, &CallOptions::default(), now);
        let pick = tries.first(&pool).unwrap();
        tries.start(&pick, now);
        _ = tries.ended(&pick, &outcome, now);
        assert_eq!(by(&pool, "discovery_failed_tries", ("reason", reason)), 1.0, "{reason}");
        let metrics = Metrics::of_pools([&pool]);
        let all = metrics.families().iter().find(|it| it.name == "discovery_failed_tries").unwrap();
        assert_eq!(all.samples.iter().map(|it| it.value).sum::<f64>(), 1.0, "{reason}");
    }
}

#[test]
fn further_tries_are_counted_and_so_are_those_without_a_budget() {
    let (pool, now) = (of_ports([1, 2, 3], PoolOptions::new()), Instant::now());
    let options = CallOptions::default().retry_percent(100).retries_per_second(0);
    let (budget, mut tries) =
        (Budget::new(&options, now).unwrap(), Tries::new(Method::GET, &options, now));
    budget.request(now);
    let first = tries.first(&pool).unwrap();
    tries.start(&first, now);
    // The first one is still under way.
    let second = tries.another(&pool, &budget, now).unwrap();
    tries.start(&second, now);
    assert_eq!(tries.another(&pool, &budget, now).unwrap_err(), Stop::Budget);
    for (name, count) in
        [("discovery_retries", 1.0), ("discovery_hedges", 1.0), ("discovery_over_budget", 1.0)]
    {
        assert_eq!(value(&[&pool], name), count, "{name}");
    }
}

#[test]
fn every_family_has_a_text_and_counters_begin_at_zero() {
    let pool = of_ports([1], PoolOptions::new());
    let metrics = Metrics::of_pools([&pool]);
    for family in metrics.families() {
        assert!(family.name.starts_with("discovery_"), "{}", family.name);
        assert!(!family.help.is_empty() && !family.help.ends_with('.'), "{}", family.name);
        assert!(!family.samples.is_empty(), "{}", family.name);
        let is_zero = family.samples.iter().all(|it| it.value == 0.0);
        // The answer of a fixed list is none of a query.
        assert!(family.kind == Kind::Gauge || is_zero, "{}", family.name);
    }
}

#[tokio::test]
async fn a_failed_query_shows_at_once() {
    let failing = Watched {
        failure: Some(Arc::new(Error::new(ErrorKind::Timeout, "late"))),
        ..Watched::default()
    };
    let (_answers, watched) = watch::channel(failing);
    let pool = Pool::from_watch("web", watched);
    assert_eq!(value(&[&pool], "discovery_query_failing"), 1.0);
    let age =
        Metrics::of_pools([&pool]).get("discovery_snapshot_age_seconds", &[("service", "web")]);
    assert_eq!(age, None, "there is no answer yet");
}
