//! The life of pollers, and watches of a simulated agent.

use bytes::Bytes;
use http::Request;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{
    Origin,
    agent::{
        AgentSettings,
        exchange::{Exchanging, Failure, Http, Limit},
    },
    lifetime::LINGER,
};

fn watches() -> Watches {
    let agent = AgentClient::new(AgentSettings::default()).unwrap();
    Watches::new(agent, &Settings::default(), Random::seeded(1), None)
}

fn watch(watches: &Watches, query: impl Into<Query>) -> Watch {
    watches.watch(&watches.complete(query.into()), LINGER)
}

fn running(watches: &Watches) -> usize {
    let pollers = watches.inner.pollers.lock().unwrap();
    pollers.values().filter(|poller| poller.task.is_running()).count()
}

#[tokio::test(start_paused = true)]
async fn watches_of_equal_queries_share_a_poller() {
    let watches = watches();
    let first = watch(&watches, "web");
    let explicit = Query::new("web").source(Source::Catalog);
    let same = [first.clone(), watch(&watches, explicit), first];
    assert_eq!(running(&watches), 1);
    let dns = Query::new("web").source(Source::Dns);
    let tagged = Query::new("web").tag("v1");
    let others = [watch(&watches, dns), watch(&watches, tagged), watch(&watches, "db")];
    assert_eq!(running(&watches), 4);
    drop((same, others));
}

#[tokio::test(start_paused = true)]
async fn a_poller_lingers_after_its_last_watch_and_can_start_again() {
    let watches = watches();
    let first = watch(&watches, "web");
    let mut subscribed = first.subscribe();
    drop(first.clone());
    sleep(LINGER * 2).await;
    assert!(subscribed.has_changed().is_ok(), "a clone is left");
    drop(first);
    sleep(LINGER / 2).await;
    drop(watch(&watches, "web"));
    sleep(LINGER - Duration::from_secs(1)).await;
    assert_eq!(running(&watches), 1, "it was used again");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running(&watches), 0);
    while subscribed.changed().await.is_ok() {}
    let again = watch(&watches, "web");
    assert!(again.subscribe().has_changed().is_ok());
}

#[tokio::test(start_paused = true)]
async fn pollers_that_linger_are_limited_and_those_in_use_stay() {
    let watches = watches();
    let held: Vec<_> =
        (0..LINGERING_MAX + 10).map(|n| watch(&watches, format!("held{n}"))).collect();
    for number in 0..LINGERING_MAX * 2 {
        drop(watch(&watches, number.to_string()));
    }
    assert_eq!(watches.inner.pollers.lock().unwrap().len(), held.len() + LINGERING_MAX);
    sleep(LINGER * 2).await;
    assert_eq!(running(&watches), held.len());
    drop(watch(&watches, "one more"));
    assert_eq!(watches.inner.pollers.lock().unwrap().len(), held.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn a_poller_ends_with_its_watches() {
    let watches = watches();
    let mut subscribed = watch(&watches, "web").subscribe();
    drop(watches);
    while subscribed.changed().await.is_ok() {}
}

#[tokio::test]
async fn a_poller_with_a_snapshot_on_disk_ends_with_its_watches_too() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(dir.path(), &AgentSettings::default()).unwrap();
    let agent = AgentClient::with_http(
        AgentSettings::default(),
        Arc::new(Slow { delay: Duration::ZERO, answer: Ok("[]") }),
    );
    let watches = Watches::new(agent, &Settings::default(), Random::seeded(1), Some(snapshots));
    let mut watch = watch(&watches, "web");
    watch.changed().await;
    let mut subscribed = watch.subscribe();
    drop((watches, watch));
    let ended = async { while subscribed.changed().await.is_ok() {} };
    timeout(LINGER, ended).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_in_time_the_snapshot_from_disk_is_used_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::default();
    let open = || Some(Snapshots::open(dir.path(), &AgentSettings::default()).unwrap());
    let millis = Duration::from_millis;
    let entry = r#"[{"Node": {"Node": "larry", "Address": "10.0.0.1", "Datacenter": "dc1"},
        "Service": {"ID": "web-1", "Service": "web", "Port": 80}, "Checks": []}]"#;
    let is_saved = || {
        let mut entries = std::fs::read_dir(dir.path()).unwrap();
        entries.any(|it| it.unwrap().path().extension().is_some_and(|it| it == "json"))
    };
    let watches_of = |delay| {
        let agent = Arc::new(Slow { delay, answer: Ok(entry) });
        let agent = AgentClient::with_http(AgentSettings::default(), agent);
        Watches::new(agent, &settings, Random::seeded(1), open())
    };
    let before = watches_of(Duration::ZERO);
    let mut first = watch(&before, "web");
    first.changed().await;
    while !is_saved() {
        sleep(millis(10)).await;
    }
    drop((before, first));
    for (delay, expected) in [
        (499, &[(499, Origin::Catalog)][..]),
        (501, &[(500, Origin::Disk), (501, Origin::Catalog)]),
        (9000, &[(500, Origin::Disk), (9000, Origin::Catalog)]),
    ] {
        let (watches, start) = (watches_of(millis(delay)), Instant::now());
        let mut watch = watch(&watches, "web");
        for (at, origin) in expected {
            let watched = watch.changed().await;
            let snapshot = watched.snapshot.unwrap();
            assert_eq!((start.elapsed(), snapshot.origin), (millis(*at), *origin), "{delay} ms");
            let late = "no answer from the agent at 127.0.0.1:8500 within 500ms".to_owned();
            let failure = (*origin == Origin::Disk).then_some(late);
            assert_eq!(watched.failure.map(|it| it.to_string()), failure, "{delay} ms");
        }
    }
}

#[tokio::test]
async fn a_fixed_list_is_known_at_once_and_never_changes() {
    let fixed = Query::new("web").source("fixed:10.0.0.1:80".parse().unwrap());
    let mut watch = watch(&watches(), fixed);
    assert!(watch.current().snapshot.is_some());
    let watched = watch.changed().await;
    assert_eq!(watched.snapshot.unwrap().instances.len(), 1);
    assert!(timeout(Duration::from_millis(10), watch.changed()).await.is_err());
}

#[tokio::test]
async fn a_query_that_its_source_can_not_express_fails_at_once_and_is_not_sent() {
    let watches = watches();
    let query = Query::new("web").source(Source::Dns).near("_agent");
    let error = "the query for \"web\": DNS can't express near";
    let mut watch = watch(&watches, &query);
    let failure = watch.changed().await.failure.unwrap();
    assert_eq!(failure.to_string(), error);
    assert!(failure.is_setting() && !failure.is_retryable());
    assert_eq!(watches.check(&query).unwrap_err().to_string(), error);
    assert_eq!(watches.ask(&query).await.unwrap_err().to_string(), error);
    assert_eq!(running(&watches), 0);
}

/// An agent that is down, and records when it is called.
#[derive(Debug)]
struct Down {
    started_at: Instant,
    calls: Mutex<Vec<Duration>>,
}

impl Http for Down {
    fn exchange(&self, request: Request<Bytes>, _: Limit) -> Exchanging<'_> {
        assert_eq!(request.uri().path(), "/v1/health/service/web");
        self.calls.lock().unwrap().push(self.started_at.elapsed());
        Box::pin(async { Err(Failure::Unreachable("down".to_owned())) })
    }

    fn reconnect(&self) {}
}

/// The times at which a watch calls an agent that is down.
async fn calls(seed: u64) -> Vec<Duration> {
    let down = Arc::new(Down { started_at: Instant::now(), calls: Mutex::default() });
    let agent = AgentClient::with_http(AgentSettings::default(), down.clone());
    let watches = Watches::new(agent, &Settings::default(), Random::seeded(seed), None);
    let mut watch = watch(&watches, "web");
    let failure = watch.changed().await.failure.unwrap();
    assert!(failure.is_agent() && failure.is_retryable(), "{failure}");
    sleep(Duration::from_secs(60)).await;
    down.calls.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_seed_reproduces_a_run_with_a_simulated_agent() {
    let first = calls(1).await;
    assert!(first.len() > 10, "{first:?}");
    assert_eq!(first, calls(1).await);
    assert_ne!(first, calls(2).await);
}

/// An agent that answers like this, after this time.
#[derive(Debug)]
struct Slow {
    delay: Duration,
    answer: Result<&'static str, &'static str>,
}

impl Http for Slow {
    fn exchange(&self, _: Request<Bytes>, _: Limit) -> Exchanging<'_> {
        Box::pin(async {
            sleep(self.delay).await;
            let body = self.answer.map_err(|text| Failure::Unreachable(text.to_owned()))?;
            Ok(http::Response::new(Bytes::from(body)))
        })
    }

    fn reconnect(&self) {}
}

#[tokio::test(start_paused = true)]
async fn the_next_source_is_queried_when_the_first_one_failed_or_is_slow() {
    let seconds = Duration::from_secs;
    for (delay, answer, origin, after) in [
        (Duration::ZERO, Ok("[]"), Origin::Catalog, Duration::ZERO),
        (seconds(1) / 2, Ok("[]"), Origin::Catalog, seconds(1) / 2),
        (seconds(1) / 2, Err("down"), Origin::Fixed, seconds(1) / 2),
        (seconds(9), Ok("[]"), Origin::Fixed, seconds(1)),
        (seconds(9), Err("down"), Origin::Fixed, seconds(1)),
    ] {
        let agent = Arc::new(Slow { delay, answer });
        let agent = AgentClient::with_http(AgentSettings::default(), agent);
        let watches = Watches::new(agent, &Settings::default(), Random::seeded(1), None);
        let query = Query::new("web").source("catalog,fixed:10.0.0.1:80".parse().unwrap());
        let start = Instant::now();
        let snapshot = watches.ask(&watches.complete(query)).await.unwrap();
        assert_eq!((snapshot.origin, start.elapsed()), (origin, after), "{delay:?} {answer:?}");
    }
}
