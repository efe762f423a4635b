//! Connections are shared, limited, kept and closed.

use std::{sync::Arc, time::Duration};

use discovery::{Client, Instance, Origin, Pool, Snapshot, Watched};
use tokio::{
    runtime::Builder,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    super::{eventually, in_flight},
    client, client_with, frames,
    frames::{HANG, OK},
    options, read,
    server::Server,
};

/// Calls whose answers wait.
async fn waiting(server: &Server, client: &Client, calls: usize) -> JoinSet<()> {
    let mut waiting = JoinSet::new();
    for _ in 0..calls {
        let client = client.clone();
        waiting.spawn(async move {
            assert_eq!(client.get("http://service2/").await.unwrap().status(), 200);
        });
    }
    let arrived = server.arrived() + calls;
    eventually(|| server.arrived() == arrived).await;
    waiting
}

#[tokio::test]
async fn calls_share_a_connection_up_to_the_limits() {
    for (streams_max, calls, connections) in [(200, 1, 1), (200, 100, 1), (200, 101, 2), (2, 5, 3)]
    {
        let server = Server::start(0, streams_max).await;
        let pool = Pool::fixed("service2", [server.address]);
        let waiting = waiting(&server, &client(&pool), calls).await;
        assert_eq!(server.accepted(), connections, "{calls} calls, {streams_max} streams");
        server.answer(calls);
        waiting.join_all().await;
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn consecutive_calls_of_all_clients_share_a_connection() {
    let server = frames::Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    for _ in 0..10 {
        let client = client(&pool);
        for _ in 0..10 {
            assert_eq!(read(&client).await, "hello");
        }
    }
    assert_eq!((server.accepted(), server.requests()), (1, 100));
}

#[tokio::test]
async fn without_idle_connections_each_call_has_its_own() {
    let server = frames::Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    let client = client_with(&pool, options().idle_max(0));
    for accepted in 1..=3 {
        assert_eq!(read(&client).await, "hello");
        assert_eq!(server.accepted(), accepted);
    }
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let idle = Duration::from_millis(50);
    let server = Server::start(0, 200).await;
    let pool = Pool::fixed("service2", [server.address]);
    let client = client_with(&pool, options().idle_timeout(idle));
    let one = waiting(&server, &client, 1).await;
    sleep(4 * idle).await;
    let other = waiting(&server, &client, 1).await;
    assert_eq!(server.accepted(), 1, "it is used while it is in use");
    server.answer(2);
    one.join_all().await;
    other.join_all().await;
    let server = frames::Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    assert_eq!(read(&client_with(&pool, options().idle_timeout(idle))).await, "hello");
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn an_abandoned_call_ends_its_stream_and_not_the_connection() {
    let server = frames::Server::start(|nth| if nth == 0 { OK } else { HANG }).await;
    let pool = Pool::fixed("service2", [server.address]);
    let client = client(&pool);
    assert_eq!(read(&client).await, "hello");
    for resets in 1..=3 {
        let call = tokio::spawn(client.get("http://service2/").send());
        eventually(|| server.requests() == resets + 1).await;
        call.abort();
        eventually(|| server.resets() == resets).await;
    }
    assert_eq!((server.accepted(), in_flight(&pool)), (1, 0));
}

#[tokio::test]
async fn connections_end_with_the_pool_and_its_clients() {
    let server = frames::Server::always(OK).await;
    let at = Instance::at("service2", "127.0.0.1".into(), server.address.port());
    let listed = Snapshot::new([Arc::new(at)], Origin::Catalog, Instant::now());
    let (_tx, watched) = watch::channel(Watched::from(listed));
    let pool = Pool::from_watch("service2", watched);
    let client = client(&pool);
    assert_eq!(read(&client).await, "hello");
    assert_eq!(server.open(), 1);
    drop((client, pool));
    eventually(|| server.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_runtime_has_its_own_connection() {
    let server = frames::Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    let client = client(&pool);
    for accepted in 1..=3 {
        let client = client.clone();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                assert_eq!(read(&client).await, "hello");
                assert_eq!(read(&client).await, "hello");
            });
        })
        .join()
        .unwrap();
        eventually(|| server.accepted() == accepted).await;
    }
}
