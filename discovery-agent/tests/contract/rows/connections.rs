//! Connections: clients that half-close, that send nothing, and that disconnect.

use std::net::SocketAddr;

use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::http::{exchange, get, statuses};
use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_half_closed_connection_is_answered),
    row!(a_waiting_half_closed_connection_is_answered)
        .ours_is_better("a client that disconnected looks the same, and would keep its connection until its wait ends"),
    row!(a_client_at_its_limit_is_served_while_it_has_idle_connections)
        .alone()
        .ours_is_better("connections without a complete request exhaust Consul's limit for their host"),
    row!(a_disconnected_client_releases_its_permit)
        .alone()
        .ours_is_better("Consul keeps the connection of a disconnected client until its wait ends, and 200 of them block their host"),
];

async fn a_half_closed_connection_is_answered(target: &Target) {
    for turn in 0..100 {
        let answer = exchange(target, "GET /v1/status/leader HTTP/1.0\r\n\r\n").await;
        assert_eq!(statuses(&answer), [200], "{turn}: {answer:?}");
    }
    let two = get("/v1/status/leader", "").repeat(2);
    assert_eq!(statuses(&exchange(target, two).await), [200, 200]);
}

/// Consul answers it when its wait ends, the embedded agent immediately.
async fn a_waiting_half_closed_connection_is_answered(target: &Target) {
    let index = target.get("/v1/catalog/nodes").await.index();
    let wait = if target.is_real() { "100ms" } else { "10m" };
    let ahead = get("/v1/status/leader", "");
    for next in ["", &ahead] {
        let request = get(&format!("/v1/catalog/nodes?index={index}&wait={wait}"), "");
        let answer = exchange(target, request + next).await;
        let expected = &[200, 200][..if next.is_empty() { 1 } else { 2 }];
        assert_eq!(statuses(&answer), expected, "{answer:?}");
    }
}

async fn a_client_at_its_limit_is_served_while_it_has_idle_connections(target: &Target) {
    let mut idle = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
        let request = get("/v1/status/leader", "");
        // Some have sent nothing, some half a request; others have an answer.
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

/// Consul's limit of connections per address.
const CLIENTS: usize = 200;

async fn a_disconnected_client_releases_its_permit(target: &Target) {
    let index = target.get("/v1/catalog/services").await.index();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(pending(target.http_addr(), index).await);
    }
    drop(clients);
    let answers = async || Request::get("/v1/status/leader").send(target.http_addr()).await.is_ok();
    if target.is_real() {
        assert!(!answers().await);
    } else {
        // The agent notices a disconnect when it reads from the connection.
        target.until("there is room", answers).await;
    }
}

/// A client that waits for a minute.
async fn pending(addr: SocketAddr, index: u64) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("GET /v1/catalog/services?index={index}&wait=1m HTTP/1.1\r\nHost: consul\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
