//! Pools fed with answers, on a paused clock.

use std::time::Duration;

use tokio::time::{advance, sleep, timeout};

use super::*;
use crate::{Host, Rank, Status, Verdict, Weights};

fn instance(port: u16, status: Status) -> Arc<Instance> {
    Arc::new(Instance { status, ..Instance::at("web", Host::from("10.0.0.1"), port) })
}

fn snapshot(instances: impl IntoIterator<Item = Arc<Instance>>) -> Snapshot {
    let instances = instances.into_iter().collect();
    Snapshot { instances, index: 1, origin: Origin::Catalog, as_of: Instant::now() }
}

/// A pool and what feeds it.
struct Fed {
    pool: Pool,
    answers: watch::Sender<Watched>,
}

impl Fed {
    fn new() -> Self {
        let (answers, watched) = watch::channel(Watched::default());
        Self { pool: Pool::from_watch("web", watched), answers }
    }

    /// Waits for the first answer, but not for ever.
    async fn ready(pool: &Pool) -> Result<(), Error> {
        timeout(Duration::from_secs(9), pool.ready()).await.expect("an end to the waiting")
    }

    /// Answers, and waits until the pool has heard it.
    async fn answer(&self, instances: impl IntoIterator<Item = Arc<Instance>>) {
        let snapshot = Some(Arc::new(snapshot(instances)));
        self.answers.send_replace(Watched { snapshot, failure: None });
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
async fn a_watch_that_ends_without_an_answer_is_an_error_and_not_a_wait() {
    let Fed { pool, answers } = Fed::new();
    drop(answers);
    let error = Fed::ready(&pool).await.unwrap_err();
    assert!(error.to_string().contains("web"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_answered_before_counts() {
    let (_answers, watched) = watch::channel(Watched {
        snapshot: Some(Arc::new(snapshot([instance(1, Status::Passing)]))),
        failure: None,
    });
    let pool = Pool::from_watch("web", watched);
    Fed::ready(&pool).await.unwrap();
    assert_eq!(port(&pool.pick().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_feeds_a_pool_and_its_last_word_stays() {
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
async fn what_was_learnt_survives_new_weights_and_status_but_not_a_new_copy() {
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
async fn those_who_vanish_serve_as_reserve_until_refused_or_a_minute_is_over() {
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
async fn scaled_to_zero_the_pool_is_empty_once_each_has_refused() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fed.answer([]).await;
    for _ in 0..2 {
        drop(fed.pool.pick().unwrap().judge(Verdict::REFUSED));
    }
    assert_eq!(fed.pool.pick().unwrap_err(), PickError::NoInstances);
    assert_eq!(fed.pool.pick_apart_from(&[]).unwrap_err(), PickError::NoInstances);
}

#[tokio::test(start_paused = true)]
async fn one_that_left_in_order_is_gone_at_once() {
    let fed = Fed::new();
    fed.answer([instance(1, Status::Passing), instance(2, Status::Passing)]).await;
    fed.answer([instance(1, Status::Passing), instance(2, Status::Maintenance)]).await;
    fed.answer([instance(1, Status::Passing)]).await;
    assert_eq!(fed.ranks(), [(1, Some(Rank::Passing))]);
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_is_back_is_judged_again() {
    let fed = Fed::new();
    let both = || [instance(1, Status::Passing), instance(2, Status::Passing)];
    fed.answer(both()).await;
    fed.answer([]).await;
    fed.answer(both()).await;
    assert_eq!(fed.ranks(), [(1, Some(Rank::Passing)), (2, Some(Rank::Passing))]);
    fail(&fed, |port| port == 1);
    assert_eq!(fed.ranks(), [(2, Some(Rank::Passing)), (1, Some(Rank::Ejected))]);
}

/// Calls as many as are there, so that each is called, and fails those.
fn fail(fed: &Fed, failing: impl Fn(u16) -> bool) {
    let picks: Vec<_> = (0..120).map(|_| fed.pool.pick().unwrap()).collect();
    for pick in picks {
        if failing(port(&pick)) { pick.fail() } else { pick.succeed() }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_makes_room_for_another_ejection() {
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
async fn a_pick_for_who_knows_what_is_no_probe_and_one_for_what_may_be_done_twice_is() {
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
    let probe = fed.pool.pick_repeatable().unwrap();
    assert_eq!(port(&probe), 1);
    probe.succeed();
    assert!((0..100).any(|_| port(&fed.pool.pick().unwrap()) == 1));
}

#[tokio::test(start_paused = true)]
async fn who_refused_before_it_vanished_gets_a_chance_as_reserve() {
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
async fn a_pick_that_is_dropped_gives_its_place_back_and_says_what_it_waited_for() {
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
        failure: None,
    });
    Fed::ready(&pool).await.unwrap();
    let (clone, pick) = (pool.clone(), pool.pick().unwrap());
    drop(pool);
    sleep(Duration::from_millis(1)).await;
    assert!(!answers.is_closed());
    drop(clone);
    timeout(Duration::from_secs(9), answers.closed()).await.expect("the feed ends");
    pick.succeed();
}

#[tokio::test]
async fn a_fixed_pool_is_ready_and_gives_its_members() {
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
    assert_eq!(pool.pick_apart_from(&tried).unwrap_err(), PickError::AllTried);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_the_same_keeps_the_age_small_though_nobody_is_woken() {
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
