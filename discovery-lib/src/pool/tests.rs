//! Pools fed with answers, on a paused clock.

mod ejection;
mod slow_start;

use std::time::Duration;

use tokio::time::{advance, sleep, timeout};

use super::*;
use crate::{Host, Rank, Status, Verdict, Weights};

fn instance(port: u16, status: Status) -> Arc<Instance> {
    Arc::new(Instance { status, ..Instance::at("web", Host::from("10.0.0.1"), port) })
}

fn snapshot(instances: impl IntoIterator<Item = Arc<Instance>>) -> Snapshot {
    Snapshot { index: 1, ..Snapshot::new(instances, Origin::Catalog, Instant::now()) }
}

/// A pool and its source.
struct Fed {
    pool: Pool,
    answers: watch::Sender<Watched>,
}

impl Fed {
    fn new() -> Self {
        let (answers, watched) = watch::channel(Watched::default());
        Self { pool: Pool::from_watch("web", watched), answers }
    }

    /// Waits for the first answer, with a time limit.
    async fn ready(pool: &Pool) -> Result<(), Error> {
        timeout(Duration::from_secs(9), pool.ready()).await.expect("no answer")
    }

    /// Publishes an answer, and waits until the pool has it.
    async fn answer(&self, instances: impl IntoIterator<Item = Arc<Instance>>) {
        let snapshot = Some(Arc::new(snapshot(instances)));
        self.answers.send_replace(Watched { snapshot, ..Watched::default() });
        sleep(Duration::from_millis(1)).await;
    }

    fn ranks(&self) -> Vec<(u16, Option<Rank>)> {
        let rank = |it: &Explained| (it.instance.port, it.member.map(|member| member.rank));
        self.pool.explain().instances.iter().map(rank).collect()
    }
}

fn port(pick: &Pick) -> u16 {
    pick.instance().port
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_ready_with_its_first_answer_even_if_that_is_empty() {
    let fed = Fed::new();
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoAnswerYet);
    assert!(timeout(Duration::from_secs(9), fed.pool.ready()).await.is_err());
    fed.answer([]).await;
    Fed::ready(&fed.pool).await.unwrap();
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
    fed.answer([instance(1, Status::Critical), instance(2, Status::Maintenance)]).await;
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NonePassing);
    assert_eq!(fed.ranks(), [(1, None), (2, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_without_an_answer_is_an_error() {
    let Fed { pool, answers } = Fed::new();
    drop(answers);
    let error = Fed::ready(&pool).await.unwrap_err();
    assert!(error.to_string().contains("web"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_answered_before_counts() {
    let (_answers, watched) = watch::channel(Watched {
        snapshot: Some(Arc::new(snapshot([instance(1, Status::Passing)]))),
        ..Watched::default()
    });
    let pool = Pool::from_watch("web", watched);
    Fed::ready(&pool).await.unwrap();
    assert_eq!(port(&pool.pick().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_feeds_a_pool_and_its_last_snapshot_stays() {
    struct Once(Option<Snapshot>);
    impl Stream for Once {
        type Item = Snapshot;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Snapshot>> {
            std::task::Poll::Ready(self.0.take())
        }
    }
    let pool = Pool::from_stream("web", Once(Some(snapshot([instance(1, Status::Passing)]))));
    Fed::ready(&pool).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(port(&pool.pick().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn statistics_survive_new_weights_and_status_but_not_a_new_copy() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing)]).await;
    let first = fed.pool.pick().unwrap();
    let id = first.member();
    advance(Duration::from_millis(30)).await;
    first.succeed();
    let heavier = Weights { passing: 9, warning: 9 };
    let changed = Instance { weights: heavier, ..(*instance(1, Status::Warning)).clone() };
    fed.answer([Arc::new(changed)]).await;
    let member = fed.pool.explain().instances[0].member.unwrap();
    assert_eq!((member.id, member.rank), (id, Rank::Warning));
    assert_eq!(member.latency, Some(Duration::from_millis(30)));
    assert_eq!(fed.pool.pick().unwrap().instance().weights, heavier);
    fed.answer([instance(2, Status::Passing)]).await;
    assert_ne!(fed.pool.pick().unwrap().member(), id);
}

#[tokio::test(start_paused = true)]
async fn vanished_instances_are_reserves_until_refused_or_for_a_minute() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fed.answer([]).await;
    assert_eq!(fed.ranks(), [(1, Some(Rank::Reserve)), (2, Some(Rank::Reserve))]);
    let refused = fed.pool.pick().unwrap();
    let left = 3 - port(&refused);
    drop(refused.judge(Verdict::REFUSED));
    assert_eq!(fed.ranks(), [(left, Some(Rank::Reserve))]);
    for _ in 0..20 {
        let pick = fed.pool.pick().unwrap();
        assert_eq!(port(&pick), left);
        pick.fail();
    }
    advance(Duration::from_secs(59)).await;
    assert!(fed.pool.pick().is_ok());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
}

#[tokio::test(start_paused = true)]
async fn a_service_scaled_to_zero_is_empty_once_each_has_refused() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fed.answer([]).await;
    for _ in 0..2 {
        drop(fed.pool.pick().unwrap().judge(Verdict::REFUSED));
    }
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
    assert_eq!(
        fed.pool.pick_with(PickOptions::new().apart_from(&[])).unwrap_err(),
        PickError::NoInstances
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_leaves_gracefully_is_removed_immediately() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fed.answer([instance(1, Status::Passing), instance(2, Status::Maintenance)]).await;
    fed.answer([instance(1, Status::Passing)]).await;
    assert_eq!(fed.ranks(), [(1, Some(Rank::Passing))]);
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_returns_is_judged_again() {
    let fed = Fed::new();
    let both = || [instance(1, Status::Passing), instance(2, Status::Passing)];
    fed.answer(both()).await;
    fed.answer([]).await;
    fed.answer(both()).await;
    assert_eq!(fed.ranks(), [(1, Some(Rank::Passing)), (2, Some(Rank::Passing))]);
    fail(&fed, |port| port == 1);
    assert_eq!(fed.ranks(), [(2, Some(Rank::Passing)), (1, Some(Rank::Ejected))]);
}

/// Calls each member once, and fails all calls.
fn fail(fed: &Fed, failing: impl Fn(u16) -> bool) {
    let picks: Vec<_> = (0..120).map(|_| fed.pool.pick().unwrap()).collect();
    for pick in picks {
        if failing(port(&pick)) { pick.fail() } else { pick.succeed() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_allows_another_ejection() {
    let fed = Fed::new();
    let ejected =
        || fed.ranks().into_iter().filter(|it| it.1 == Some(Rank::Ejected)).map(|it| it.0);
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fail(&fed, |port| port == 1);
    assert_eq!(ejected().collect::<Vec<_>>(), [1]);
    fed.answer([instance(2, Status::Passing), instance(3, Status::Passing)]).await;
    assert_eq!(fed.ranks().last(), Some(&(1, Some(Rank::Reserve))));
    fail(&fed, |port| port == 2);
    assert_eq!(ejected().collect::<Vec<_>>(), [2]);
}

#[tokio::test(start_paused = true)]
async fn only_a_repeatable_pick_is_a_probe() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fail(&fed, |port| port == 1);
    // Longer than the first ejection, jitter included.
    advance(Duration::from_secs(2)).await;
    for _ in 0..100 {
        let pick = fed.pool.pick().unwrap();
        assert_eq!(port(&pick), 2);
        pick.succeed();
    }
    let probe = fed.pool.pick_with(PickOptions::new().repeatable()).unwrap();
    assert_eq!(port(&probe), 1);
    probe.succeed();
    assert!((0..100).any(|_| port(&fed.pool.pick().unwrap()) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_it_vanished_does_not_drop_a_reserve() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing)]).await;
    drop(fed.pool.pick().unwrap().judge(Verdict::REFUSED));
    fed.answer([]).await;
    drop(fed.pool.pick().unwrap().judge(Verdict::REFUSED));
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_shrinks_keeps_at_most_half_ejected() {
    let fed = Fed::new();
    let up_to = |count| (1..=count).map(|port| instance(port, Status::Passing));
    fed.answer(up_to(6)).await;
    fail(&fed, |port| port <= 3);
    let ejected = || fed.ranks().iter().filter(|it| it.1 == Some(Rank::Ejected)).count();
    assert_eq!(ejected(), 3);
    let leave = |port| instance(port, Status::Maintenance);
    fed.answer(up_to(4).chain([leave(5), leave(6)])).await;
    assert_eq!(ejected(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pick_ends_its_call_and_charges_its_wait() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing)]).await;
    let member = || fed.pool.explain().instances[0].member.unwrap();
    let pick = fed.pool.pick().unwrap();
    assert_eq!(member().in_flight, 1);
    advance(Duration::from_millis(1700)).await;
    drop(pick);
    assert_eq!((member().in_flight, member().latency), (0, Some(Duration::from_millis(1700))));
    drop(fed.pool.pick().unwrap());
    assert_eq!(member().latency, Some(Duration::from_millis(1700)));
}

#[tokio::test(start_paused = true)]
async fn the_feed_ends_with_the_last_clone_and_picks_do_not_keep_it() {
    let Fed { pool, answers } = Fed::new();
    answers.send_replace(Watched {
        snapshot: Some(Arc::new(snapshot([instance(1, Status::Passing)]))),
        ..Watched::default()
    });
    Fed::ready(&pool).await.unwrap();
    let (clone, pick) = (pool.clone(), pool.pick().unwrap());
    drop(pool);
    sleep(Duration::from_millis(1)).await;
    assert!(!answers.is_closed());
    drop(clone);
    timeout(Duration::from_secs(9), answers.closed()).await.expect("the feed did not end");
    pick.succeed();
}

#[tokio::test]
async fn a_fixed_pool_is_ready_and_returns_its_members() {
    let pool = Pool::fixed("web", ["127.0.0.1:80".parse().unwrap()]);
    Fed::ready(&pool).await.unwrap();
    let pick = pool.pick().unwrap();
    assert_eq!(pick.instance().to_string(), "127.0.0.1:80");
    let tried = [pick.member()];
    let call = pick.judge(Verdict::SUCCESS);
    let member = pool.explain().instances[0].member.unwrap();
    assert_eq!((member.rank, member.in_flight), (Rank::Passing, 1));
    drop(call);
    assert_eq!(pool.explain().instances[0].member.unwrap().in_flight, 0);
    assert_eq!(
        pool.pick_with(PickOptions::new().apart_from(&tried)).unwrap_err(),
        PickError::AllTried
    );
}

#[tokio::test(start_paused = true)]
async fn an_equal_answer_renews_the_age_and_wakes_no_task() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing)]).await;
    advance(Duration::from_secs(60)).await;
    let same = Some(Arc::new(snapshot([instance(1, Status::Passing)])));
    fed.answers.send_if_modified(|watched| {
        watched.snapshot = same;
        false
    });
    let snapshot = fed.pool.explain().watched.snapshot.unwrap();
    assert_eq!(snapshot.age(Instant::now()), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pick_is_notified_when_its_instance_has_left_but_not_while_it_is_in_reserve() {
    let both = || [instance(1, Status::Passing), instance(2, Status::Passing)];
    for (next, is_current) in [
        (vec![instance(1, Status::Warning)], true),
        (vec![instance(1, Status::Critical)], true),
        (vec![], true),
        (vec![instance(1, Status::Maintenance)], false),
    ] {
        let fed = Fed::new();
        fed.answer(both()).await;
        let first = fed.pool.filter(|it| it.port == 1);
        let (pick, call) = (first.pick().unwrap(), first.pick().unwrap().judge(Verdict::SUCCESS));
        fed.answer(next.into_iter().chain([instance(2, Status::Passing)])).await;
        assert_eq!((pick.is_current(), call.is_current()), (is_current, is_current));
        let soon = Duration::from_secs(1);
        assert_eq!(timeout(soon, pick.gone()).await.is_err(), is_current);
        assert_eq!(timeout(soon, call.gone()).await.is_err(), is_current);
        fed.answer([instance(2, Status::Passing)]).await;
        // The reserve ends while both tasks wait.
        timeout(Duration::from_secs(70), async { tokio::join!(pick.gone(), call.gone()) })
            .await
            .expect("the reserve did not end");
        drop((pick, call));
    }
}

#[tokio::test(start_paused = true)]
async fn a_filtered_pool_follows_its_parent_and_shares_its_members() {
    let fed = Fed::new();
    let even = fed.pool.filter(|it| it.port % 2 == 0);
    let four = even.filter(|it| it.port == 4);
    assert_eq!(even.pick().unwrap_err(), PickError::NoAnswerYet);
    fed.answer((1..=4).map(|port| instance(port, Status::Passing))).await;
    Fed::ready(&four).await.unwrap();
    let ports = |pool: &Pool| {
        let mut ports: Vec<_> =
            pool.explain().instances.iter().map(|it| it.instance.port).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!((ports(&even), ports(&four)), (vec![2, 4], vec![4]));
    let pick = four.pick().unwrap();
    assert_eq!(port(&pick), 4);
    let in_flight = |pool: &Pool| {
        pool.explain()
            .instances
            .iter()
            .filter_map(|it| it.member)
            .map(|it| it.in_flight)
            .sum::<u32>()
    };
    assert_eq!((in_flight(&fed.pool), in_flight(&even)), (1, 1));
    fed.answer([instance(1, Status::Passing), instance(4, Status::Maintenance)]).await;
    assert_eq!(four.pick().unwrap_err(), PickError::NonePassing);
    fed.answer([instance(1, Status::Passing)]).await;
    assert_eq!(four.pick().unwrap_err(), PickError::NoInstances);
    drop(fed.pool);
    assert_eq!(port(&even.pick().unwrap()), 2, "in reserve");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_changes_yields_the_current_state_and_each_change_once() {
    let fed = Fed::new();
    let mut changes = fed.pool.changes();
    let mut next = async |answered: bool| {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut changes).poll_next(cx));
        let next = timeout(Duration::from_secs(1), next).await.ok().flatten();
        assert_eq!(next.is_some(), answered);
        next.map(|it| (it.snapshot.map(|it| it.instances.len()), it.failure.is_some()))
    };
    assert_eq!(next(true).await, Some((None, false)));
    let failure = Some(Arc::new(Error::new(Kind::Timeout, "too late")));
    fed.answers.send_replace(Watched { failure: failure.clone(), ..Watched::default() });
    assert_eq!(next(true).await, Some((None, true)));
    fed.answer([instance(1, Status::Passing)]).await;
    assert_eq!(next(true).await, Some((Some(1), false)));
    fed.answer([instance(1, Status::Passing)]).await;
    next(false).await;
    let snapshot = Some(Arc::new(snapshot([instance(1, Status::Passing)])));
    fed.answers.send_replace(Watched { snapshot, failure, ..Watched::default() });
    assert_eq!(next(true).await, Some((Some(1), true)));
}

#[tokio::test]
async fn an_explanation_serializes_with_the_documented_fields() {
    let pool = Pool::fixed("web", ["127.0.0.1:80".parse().unwrap()]);
    let json = serde_json::to_value(pool.explain()).unwrap();
    let expected = serde_json::json!({
        "service": "web",
        "snapshot": { "origin": "fixed", "index": 0, "age_ms": json["snapshot"]["age_ms"], "filtered_by_acls": false },
        "failure": null,
        "instances": [{
            "address": "127.0.0.1:80", "id": "127.0.0.1:80", "node": "", "datacenter": null, "status": "passing", "weight": 1,
            "rank": "passing", "latency_ms": null, "in_flight": 0,
            "ejected_since_ms": null, "ejected_for_ms": null, "ejected_because": null, "reserve_for_ms": null, "checks": [],
        }],
        "left_out": [],
    });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn a_seed_reproduces_the_picks_of_a_pool() {
    let picks = |seed| {
        let addresses = (1..=40).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let options = PoolOptions::new().random(crate::Random::seeded(seed));
        let pool = Pool::fixed_with("web", addresses, options).unwrap();
        (0..50).map(|_| port(&pool.pick().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(picks(1), picks(1));
    assert_ne!(picks(1), picks(2));
}

#[tokio::test(start_paused = true)]
async fn options_set_when_an_instance_is_ejected_and_how_long_the_reserve_lasts() {
    let (answers, watched) = watch::channel(Watched::default());
    let options =
        PoolOptions::new().consecutive_failures(1).reserve(Duration::from_secs(5)).ejected_max(100);
    let fed = Fed { pool: Pool::from_watch_with("web", watched, options).unwrap(), answers };
    fed.answer([instance(1, Status::Passing)]).await;
    fed.pool.pick().unwrap().fail();
    assert_eq!(fed.ranks(), [(1, Some(Rank::Ejected))]);
    fed.answer([]).await;
    sleep(Duration::from_secs(4)).await;
    assert!(fed.pool.pick().is_ok());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
    let error =
        Pool::fixed_with("web", [], PoolOptions::new().consecutive_failures(0)).unwrap_err();
    assert!(error.is_setting());
}

#[tokio::test(start_paused = true)]
async fn a_policy_gets_only_the_eligible_members_of_the_best_rank() {
    /// The last candidate, by an index beyond it, and the key as the number of candidates.
    #[derive(Debug)]
    struct Last;
    impl crate::Policy for Last {
        fn choose(
            &self,
            candidates: &crate::Candidates<'_>,
            key: Option<u64>,
            _: &mut RandomDraws,
        ) -> usize {
            assert_eq!(candidates.len() as u64, key.unwrap());
            assert_eq!(candidates.iter().count(), candidates.len());
            usize::MAX
        }
    }
    let (answers, watched) = watch::channel(Watched::default());
    let options = PoolOptions::new().consecutive_failures(1).policy(Last);
    let fed = Fed { pool: Pool::from_watch_with("web", watched, options).unwrap(), answers };
    let passing = (1..=3).map(|port| instance(port, Status::Passing));
    fed.answer(passing.chain([instance(4, Status::Warning)])).await;
    let with = |key| PickOptions::new().key(key);
    let first = fed.pool.pick_with(with(3)).unwrap();
    let tried = [first.member()];
    assert_eq!(port(&first), 3);
    assert_eq!(port(&fed.pool.pick_with(with(2).apart_from(&tried)).unwrap()), 2);
    first.fail();
    assert_eq!(port(&fed.pool.pick_with(with(2)).unwrap()), 2);
    advance(Duration::from_secs(2)).await;
    let probe = fed.pool.pick_with(with(2).repeatable()).unwrap();
    assert_eq!(port(&probe), 3, "the policy does not choose the probe");
}

#[test]
fn round_robin_picks_one_after_the_other() {
    let addresses = (1..=3).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let options = PoolOptions::new().policy(crate::RoundRobin);
    let pool = Pool::fixed_with("web", addresses, options).unwrap();
    let ports: Vec<_> = (0..6).map(|_| port(&pool.pick().unwrap())).collect();
    let first = ports[0];
    let next = |turn| (first - 1 + turn) % 3 + 1;
    assert_eq!(ports, (0..6).map(next).collect::<Vec<_>>());
}
