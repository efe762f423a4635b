//! What is too much.

use std::time::Duration;

use discovery_agent::Agent;
use http::{HeaderName, HeaderValue};
use testkit::http::Question;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::talk::{SOON, get};

#[tokio::test]
async fn one_connection_too_many_is_reset_and_places_come_back() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    let mut extra = TcpStream::connect(to).await.unwrap();
    let mut byte = [0];
    let end = time::timeout(SOON, extra.read(&mut byte)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    held.clear();
    let served = async {
        while Question::get("/v1/status/leader").send(to).await.is_err() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(SOON, served).await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let agent = Agent::start().await.unwrap();
    let body = format!("{{\"Name\":\"{}\"}}", "x".repeat(600 * 1024));
    let register = Question::put("/v1/agent/service/register").body(body);
    assert_eq!(register.send(agent.http_addr()).await.unwrap().status, 413);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let agent = Agent::start().await.unwrap();
    let long = HeaderValue::from_str(&"x".repeat(100 * 1024)).unwrap();
    let asked = Question::get("/v1/status/leader").header(HeaderName::from_static("x-long"), long);
    match asked.send(agent.http_addr()).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        // The answer can be lost with the connection, which is closed before all of the head is read.
        Err(err) => assert_ne!(err.kind(), std::io::ErrorKind::TimedOut, "{err}"),
    }
    assert_eq!(get(agent.http_addr(), "/v1/status/leader").await.status, 200);
}
