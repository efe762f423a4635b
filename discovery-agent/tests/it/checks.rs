//! Checks beyond the contract: each is executed by one task, which ends with the agent.

use std::{io, net::SocketAddr};

use discovery_agent::Agent;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time,
};

use crate::requests::{SOON, put};

/// A server that returns every request unanswered to the test.
struct Probed {
    addr: SocketAddr,
    asked: mpsc::UnboundedReceiver<(String, TcpStream)>,
    _task: JoinSet<()>,
}

impl Probed {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked_tx, asked) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if asked_tx.send((path, stream)).is_err() {
                    return;
                }
            }
        });
        Self { addr, asked, _task: task }
    }

    /// The next request: its path, and the connection that waits for its answer.
    async fn next(&mut self) -> (String, TcpStream) {
        let asked = time::timeout(SOON, self.asked.recv()).await;
        asked.expect("no check was executed").unwrap()
    }

    /// Registers a service with a check of this path, every second, with a timeout longer than any test.
    async fn check(&self, agent: &Agent, path: &str) {
        let url = format!("http://{}{path}", self.addr);
        let check = json!({ "HTTP": url, "Interval": "1s", "Timeout": "1h" });
        let service = json!({ "Name": path.trim_start_matches('/'), "Check": check });
        let answer = put(agent.http_addr(), "/v1/agent/service/register", &service).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn no_check_outlives_its_agent() {
    let mut probed = Probed::start().await;
    let agent = Agent::start().await.unwrap();
    probed.check(&agent, "/held").await;
    let (_, mut held) = probed.next().await;
    drop(agent);
    // The probe is aborted: its connection ends while it waits for the answer.
    let end = time::timeout(SOON, held.read(&mut [0])).await.expect("the probe did not end");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn an_identical_registration_continues_the_check() {
    let mut probed = Probed::start().await;
    let agent = Agent::start().await.unwrap();
    probed.check(&agent, "/held").await;
    let (_, held) = probed.next().await;
    for _ in 0..10 {
        probed.check(&agent, "/held").await;
    }
    // By the second probe of a check that is registered later, a second task of the first check would have sent another request.
    probed.check(&agent, "/marker").await;
    for _ in 0..2 {
        let (path, mut stream) = probed.next().await;
        assert_eq!(
            path, "/marker",
            "the first run is still under way, and there should be no other"
        );
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    }
    let open = held.try_read(&mut [0]).unwrap_err();
    assert_eq!(open.kind(), io::ErrorKind::WouldBlock, "the probe was aborted");
}
