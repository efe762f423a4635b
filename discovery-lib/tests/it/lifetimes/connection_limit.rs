//! Consul counts a blocking query until its wait ends, even if its client has disconnected, and refuses further connections of an address that has 200. No
//! use of the library exhausts the connections of its host.

use std::time::Duration;

use discovery::Discovery;
use tokio::time::{sleep, timeout};

use crate::world::{SOON, World, everywhere};

/// More than the agent grants one address.
const REPEATS: usize = 1_000;
/// A `Discovery` uses 64; a busy agent may detect closed ones late.
const HELD_MAX: usize = 150;

async fn ready(discovery: &Discovery, service: &str) {
    let pool = discovery.pool(service);
    timeout(SOON, pool.ready()).await.expect("no answer").unwrap();
}

/// New connections from the same address are answered.
async fn has_access(world: &World) {
    for port in 1..=3 {
        world.register("access", port).await;
    }
}

#[tokio::test]
async fn a_pool_per_request_costs_one_query() {
    everywhere(async |world| {
        for _ in 0..REPEATS {
            ready(&world.discovery, "web").await;
            // The pause between two requests.
            sleep(Duration::from_millis(1)).await;
        }
        has_access(&world).await;
        assert!(world.http.requests() < 20, "{} queries", world.http.requests());
    })
    .await;
}

#[tokio::test]
async fn a_pool_of_another_service_per_request_stays_within_the_connections() {
    everywhere(async |world| {
        for number in 0..REPEATS {
            ready(&world.discovery, &format!("web{number}")).await;
            if number % 50 == 0 {
                assert!(world.held() < HELD_MAX, "{} connections", world.held());
            }
        }
        has_access(&world).await;
    })
    .await;
}

#[tokio::test]
async fn watches_that_are_dropped_before_their_answer_hold_no_connections() {
    everywhere(async |world| {
        for number in 0..REPEATS {
            drop(world.discovery.watch(format!("web{number}")));
            sleep(Duration::from_millis(1)).await;
        }
        assert!(world.held() < HELD_MAX, "{} connections", world.held());
        ready(&world.discovery, "web").await;
        has_access(&world).await;
    })
    .await;
}
