//! Connections: clients that half-close, that say nothing, and that go away.

use std::net::SocketAddr;

use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::http::{get, said, statuses};
use crate::{
    table::{Row, row},
    target::{Says as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(one_that_has_sent_all_it_will_is_answered),
    row!(one_that_waits_and_has_sent_all_it_will_is_answered)
        .ours_is_better("one that is gone looks the same, and would keep its place until its wait ends"),
    row!(at_its_limit_a_client_is_served_while_it_has_idle_connections)
        .alone()
        .ours_is_better("connections that ask nothing, or half of something, shut their host out of Consul"),
    row!(a_gone_client_frees_its_place)
        .alone()
        .ours_is_better("Consul keeps the place of a client that went away until its wait ends, and 200 of them lock their host out"),
];

async fn one_that_has_sent_all_it_will_is_answered(target: &Target) {
    for turn in 0..100 {
        let answer = said(target, "GET /v1/status/leader HTTP/1.0\r\n\r\n").await;
        assert_eq!(statuses(&answer), [200], "{turn}: {answer:?}");
    }
    let two = get("/v1/status/leader", "").repeat(2);
    assert_eq!(statuses(&said(target, two).await), [200, 200]);
}

/// Consul answers it when its wait ends, ours at once; both answer it.
async fn one_that_waits_and_has_sent_all_it_will_is_answered(target: &Target) {
    let index = target.get("/v1/catalog/nodes").await.index();
    let wait = if target.is_real() { "100ms" } else { "10m" };
    let ahead = get("/v1/status/leader", "");
    for next in ["", &ahead] {
        let request = get(&format!("/v1/catalog/nodes?index={index}&wait={wait}"), "");
        let answer = said(target, request + next).await;
        let expected = &[200, 200][..if next.is_empty() { 1 } else { 2 }];
        assert_eq!(statuses(&answer), expected, "{answer:?}");
    }
}

async fn at_its_limit_a_client_is_served_while_it_has_idle_connections(target: &Target) {
    let mut idle = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
        let request = get("/v1/status/leader", "");
        // Some say nothing, some half of something; others have been answered.
        let part = [0, 10, request.len()][number % 3];
        stream.write_all(&request.as_bytes()[..part]).await.unwrap();
        if part == request.len() {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        }
        idle.push(stream);
    }
    for _ in 0..10 {
        let answered = Request::get("/v1/status/leader").send(target.http_addr()).await.is_ok();
        assert_eq!(answered, !target.is_real());
    }
}

/// As many as Consul takes from one address.
const CLIENTS: usize = 200;

async fn a_gone_client_frees_its_place(target: &Target) {
    let index = target.get("/v1/catalog/services").await.index();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(standing(target.http_addr(), index).await);
    }
    drop(clients);
    let answers = async || Request::get("/v1/status/leader").send(target.http_addr()).await.is_ok();
    if target.is_real() {
        assert!(!answers().await);
    } else {
        // As soon as it has read that they are gone.
        target.until("there is room", answers).await;
    }
}

/// A client that waits for a minute.
async fn standing(addr: SocketAddr, index: u64) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("GET /v1/catalog/services?index={index}&wait=1m HTTP/1.1\r\nHost: consul\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
