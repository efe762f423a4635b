//! Clients of the HTTP API that do not complete their requests.

use discovery_agent::Agent;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use crate::requests::SOON;

#[tokio::test]
async fn an_incomplete_body_times_out() {
    let agent = Agent::start().await.unwrap();
    let mut stream = TcpStream::connect(agent.http_addr()).await.unwrap();
    let head =
        "PUT /v1/agent/service/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = time::timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("no answer and close").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
