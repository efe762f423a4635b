//! Limits of connections, heads and bodies.

use std::{io, net::SocketAddr};

use discovery_agent::Agent;
use http::{HeaderName, HeaderValue};
use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::requests::{self, SOON, get, until};

/// The limit of connections per client.
const PLACES: usize = 200;

/// A connection with a blocking query.
async fn waiting(to: SocketAddr, index: u64) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let query = format!(
        "GET /v1/health/service/web?index={index}&wait=10m HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    stream.write_all(query.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_connection_above_the_limit_is_reset_and_permits_are_released() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let index = requests::index(&get(to, "/v1/health/service/web").await);
    let mut held = Vec::new();
    for _ in 0..PLACES {
        held.push(waiting(to, index).await);
    }
    until(|| agent.waiting() == PLACES).await;
    let mut extra = TcpStream::connect(to).await.unwrap();
    let end = time::timeout(SOON, extra.read(&mut [0])).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    held.clear();
    until(|| agent.waiting() == 0).await;
    assert_eq!(get(to, "/v1/status/leader").await.status, 200);
}

#[tokio::test]
async fn a_frozen_agent_releases_permits_of_disconnected_clients() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let index = requests::index(&get(to, "/v1/health/service/web").await);
    agent.freeze();
    for _ in 0..PLACES {
        // A half-closed client sees the end of the connection only: a frozen agent does not answer.
        let mut stream = waiting(to, index).await;
        stream.shutdown().await.unwrap();
        assert_eq!(time::timeout(SOON, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    }
    agent.thaw();
    assert_eq!(get(to, "/v1/status/leader").await.status, 200);
}

#[tokio::test]
async fn slow_clients_block_no_other_client() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let mut slow = Vec::new();
    for _ in 0..5 * PLACES {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // It may have been closed by now, to free its permit.
        stream.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHo").await.ok();
        slow.push(stream);
    }
    for _ in 0..100 {
        assert_eq!(get(to, "/v1/status/leader").await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let agent = Agent::start().await.unwrap();
    let body = format!("{{\"Name\":\"{}\"}}", "x".repeat(600 * 1024));
    let register = Request::put("/v1/agent/service/register").body(body);
    assert_eq!(register.send(agent.http_addr()).await.unwrap().status, 413);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let agent = Agent::start().await.unwrap();
    let long = HeaderValue::from_str(&"x".repeat(100 * 1024)).unwrap();
    let request = Request::get("/v1/status/leader").header(HeaderName::from_static("x-long"), long);
    match request.send(agent.http_addr()).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        // The answer may be lost with the connection, which is closed before the whole head is read.
        Err(err) => assert_ne!(err.kind(), io::ErrorKind::TimedOut, "{err}"),
    }
    assert_eq!(get(agent.http_addr(), "/v1/status/leader").await.status, 200);
}
