//! Slow start: which instances have one, and how many picks they get.

use super::*;
use crate::{PoolOptions, Random, RoundRobin};

const SPAN: Duration = Duration::from_secs(10);

fn fed(options: PoolOptions) -> Fed {
    let options = options.slow_start(SPAN).random(Random::seeded(1));
    let (answers, watched) = watch::channel(Watched::default());
    Fed { pool: Pool::from_watch_with("web", watched, options).unwrap(), answers }
}

fn passing(ports: impl IntoIterator<Item = u16>) -> impl Iterator<Item = Arc<Instance>> {
    ports.into_iter().map(|port| instance(port, Status::Passing))
}

/// The share of an instance in 4000 picks, in percent.
fn share(pool: &Pool, of: u16) -> f32 {
    let is_it = |_: &u32| {
        let pick = pool.pick().unwrap();
        let is_it = port(&pick) == of;
        pick.succeed();
        is_it
    };
    (0..4000).filter(is_it).count() as f32 / 40.0
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_new_instance_rises_to_that_of_others() {
    for options in [PoolOptions::new(), PoolOptions::new().policy(RoundRobin)] {
        let fed = fed(options);
        fed.answer(passing(1..=3)).await;
        assert!(
            (30.0..37.0).contains(&share(&fed.pool, 3)),
            "those of the first answer are not new"
        );
        fed.answer(passing(1..=4)).await;
        for (seconds, expected) in [(0, 1.0..6.0), (5, 9.0..16.0), (5, 22.0..28.0)] {
            advance(Duration::from_secs(seconds)).await;
            let share = share(&fed.pool, 4);
            assert!(expected.contains(&share), "{share} % instead of {expected:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_ejected_or_in_reserve_starts_slowly_again() {
    let fed = fed(PoolOptions::new().policy(RoundRobin).consecutive_failures(1));
    fed.answer(passing(1..=2)).await;
    let first = fed.pool.pick().unwrap();
    let ejected = port(&first);
    first.fail();
    advance(Duration::from_secs(2)).await;
    let probe = fed.pool.pick_with(PickOptions::new().repeatable()).unwrap();
    assert_eq!(port(&probe), ejected);
    probe.succeed();
    assert!(share(&fed.pool, ejected) < 10.0);
    advance(SPAN).await;
    assert!(share(&fed.pool, ejected) > 45.0);
    fed.answer(passing([3 - ejected])).await;
    fed.answer(passing(1..=2)).await;
    assert!(share(&fed.pool, ejected) < 10.0);
}

#[tokio::test(start_paused = true)]
async fn new_instances_get_all_calls_if_there_is_no_other_of_their_rank() {
    let fed = fed(PoolOptions::new());
    fed.answer([instance(1, Status::Warning)]).await;
    fed.answer([instance(1, Status::Warning)].into_iter().chain(passing(2..=3))).await;
    assert_eq!(share(&fed.pool, 1), 0.0, "its rank is worse");
    assert!((45.0..55.0).contains(&share(&fed.pool, 2)));
}
