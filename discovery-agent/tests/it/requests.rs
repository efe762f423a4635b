//! Requests that all tests send to an agent.

use std::{net::SocketAddr, time::Duration};

use discovery_agent::Agent;
use serde_json::{Value, json};
use testkit::http::{Answer, Request};
use tokio::{task::JoinHandle, time};

/// The time limit of every wait, also on a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn get(to: SocketAddr, target: &str) -> Answer {
    Request::get(target).send(to).await.unwrap()
}

pub(crate) async fn put(to: SocketAddr, target: &str, body: &Value) -> Answer {
    Request::put(target).body(body.to_string()).send(to).await.unwrap()
}

/// Registers an instance of `web` with a TTL check, in the given status.
pub(crate) async fn register(to: SocketAddr, id: &str, status: &str) {
    let check = json!({ "TTL": "1h", "Status": status });
    let service = json!({ "ID": id, "Name": "web", "Port": 80, "Check": check });
    let answer = put(to, "/v1/agent/service/register", &service).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The ids of the instances of `web`.
pub(crate) async fn instances(to: SocketAddr) -> Vec<String> {
    let answer = get(to, "/v1/health/service/web").await.json();
    let ids = answer.as_array().unwrap().iter();
    ids.map(|entry| entry["Service"]["ID"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn index(answer: &Answer) -> u64 {
    answer.header("x-consul-index").unwrap().parse().unwrap()
}

/// Sends a blocking query for `web`, and returns once it waits.
pub(crate) async fn waiting(agent: &Agent) -> JoinHandle<std::io::Result<Answer>> {
    let to = agent.http_addr();
    let index = index(&get(to, "/v1/health/service/web").await);
    let before = agent.waiting();
    let target = format!("/v1/health/service/web?index={index}&wait=60s");
    let asked = tokio::spawn(async move { Request::get(target).send(to).await });
    until(|| agent.waiting() > before).await;
    asked
}

/// Waits until this holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(SOON, reached).await.expect("it did not become true");
}
