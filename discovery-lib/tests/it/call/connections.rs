//! Connections are reused, shared and closed.

use std::{sync::Arc, time::Duration};

use discovery::{Instance, Origin, Pool, Snapshot, Watched};
use http::Method;
use testkit::proxy::{Mode, Proxy};
use tokio::{sync::watch, time::Instant};

use super::{
    client, eventually, in_flight, request,
    server::{CLOSE, OK, Reply, Server},
};

async fn read(client: &discovery::Client) -> String {
    client.get("http://service2/").await.unwrap().into_body().text(64).await.unwrap()
}

#[tokio::test]
async fn one_connection_serves_consecutive_calls_of_all_clients() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    for _ in 0..10 {
        let client = client(&pool);
        for _ in 0..10 {
            assert_eq!(read(&client).await, "hello");
        }
    }
    assert_eq!((server.accepted(), server.requests().len()), (1, 100));
}

#[tokio::test]
async fn concurrent_calls_have_one_connection_each() {
    let slow = Reply::SendSlowly(
        "HTTP/1.1 200 OK\r\n",
        Duration::from_millis(50),
        "Content-Length: 0\r\n\r\n",
    );
    let server = Server::always(slow).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.get("http://service2/").await }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.accepted(), 8);
}

#[tokio::test]
async fn a_short_unread_answer_costs_no_connection() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    let client = client(&pool);
    for _ in 0..10 {
        drop(client.get("http://service2/").await.unwrap());
        assert_eq!(in_flight(&pool), 0);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_request_on_a_connection_that_closes_is_repeated_where_that_is_safe() {
    // The second request on each connection fails, because it is closed.
    for (method, succeeds) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
        let server = Server::start(|nth| if nth == 1 { CLOSE } else { OK }).await;
        let client = client(&Pool::fixed("service2", [server.address]));
        assert_eq!(read(&client).await, "hello");
        let second = client.request(request(method.clone())).await;
        assert_eq!(second.is_ok(), succeeds, "{method}");
        assert_eq!(server.accepted(), if succeeds { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_answer_may_end_its_connection() {
    let last = Reply::SendAndHang(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    );
    let server = Server::always(last).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    for accepted in 1..=3 {
        assert_eq!(read(&client).await, "hello");
        assert_eq!(server.accepted(), accepted);
    }
    eventually(|| server.open() == 0).await;
}

fn listed(servers: &[&Server]) -> Watched {
    let instance = |server: &&Server| {
        Arc::new(Instance::at("service2", "127.0.0.1".into(), server.address.port()))
    };
    Snapshot::new(servers.iter().map(instance), Origin::Catalog, Instant::now()).into()
}

#[tokio::test]
async fn connections_end_with_the_pool_and_its_clients() {
    let server = Server::always(OK).await;
    let (_tx, watched) = watch::channel(listed(&[&server]));
    let pool = Pool::from_watch("service2", watched);
    let client = client(&pool);
    assert_eq!(read(&client).await, "hello");
    assert_eq!(server.open(), 1);
    drop((client, pool));
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn an_instance_with_faults_fails_no_call_of_its_peers() {
    let servers = [Server::always(OK).await, Server::always(OK).await];
    let proxy = Proxy::start(servers[0].address).await.unwrap();
    let pool = Pool::fixed("service2", [proxy.addr(), servers[1].address]);
    let client = client(&pool);
    for mode in [
        Mode::Pass,
        Mode::Reset,
        Mode::Pass,
        Mode::Closed,
        Mode::Pass,
        Mode::Hang,
        Mode::Pass,
        Mode::Garbage,
        Mode::Status(503),
    ] {
        proxy.set(mode).await.unwrap();
        for _ in 0..20 {
            assert_eq!(read(&client).await, "hello", "{mode:?}");
        }
        proxy.cut().await.unwrap();
        for _ in 0..20 {
            assert_eq!(read(&client).await, "hello", "{mode:?}");
        }
    }
    assert_eq!(in_flight(&pool), 0);
}
