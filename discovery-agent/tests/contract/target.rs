//! The target of a row: the addresses and names of an agent, and helpers for requests.

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use discovery_agent::Agent;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use testkit::{
    consul::{Binary, Consul},
    dns::{self, Via, hickory_proto::rr::RecordType},
    http::{Answer, Request},
};
use tokio::time::{self, Instant};

use crate::like::differences;

/// The time limit for an expected state. It takes milliseconds; slow machines need more.
const TRUE_WITHIN: Duration = Duration::from_secs(15);
/// The interval at which it is polled.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The node of every target.
pub(crate) const NODE: &str = "node1";
/// The datacenter of every target.
pub(crate) const DATACENTER: &str = "dc1";

/// The kind of target.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Real(Binary),
    Embedded,
}

/// A running agent, fresh when the row is `alone`.
#[derive(Debug)]
pub(crate) struct Target {
    /// Removed with the target.
    agent: Running,
    numbers: AtomicU32,
}

#[derive(Debug)]
enum Running {
    Real(Consul),
    Embedded(Agent),
}

impl Target {
    pub(crate) async fn start(kind: &Kind) -> Self {
        let agent = match kind {
            Kind::Real(binary) => {
                let settings = Consul::of(binary).node(NODE).datacenter(DATACENTER);
                let consul = settings.config(json!({ "ui": true })).start().await;
                Running::Real(consul.unwrap_or_else(|error| panic!("{error}")))
            }
            Kind::Embedded => {
                let agent = Agent::builder().node_name(NODE).datacenter(DATACENTER);
                // Rows that write requests by hand name this host.
                let agent = agent.allow_host("consul").start().await;
                Running::Embedded(agent.unwrap_or_else(|error| panic!("{error}")))
            }
        };
        Self { agent, numbers: AtomicU32::new(0) }
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self.agent, Running::Real(_))
    }

    pub(crate) fn http_addr(&self) -> SocketAddr {
        match &self.agent {
            Running::Real(consul) => consul.http_addr(),
            Running::Embedded(agent) => agent.http_addr(),
        }
    }

    pub(crate) fn dns_addr(&self) -> SocketAddr {
        match &self.agent {
            Running::Real(consul) => consul.dns_addr(),
            Running::Embedded(agent) => agent.dns_addr(),
        }
    }

    /// A name that no other row of this target has.
    pub(crate) fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// `GET`, of a path with its query, percent-encoded.
    pub(crate) async fn get(&self, path: impl Into<String>) -> Answer {
        self.ask(Request::get(path)).await
    }

    /// `PUT` without a body.
    pub(crate) async fn put(&self, path: impl Into<String>) -> Answer {
        self.ask(Request::put(path)).await
    }

    /// `PUT` with a body.
    pub(crate) async fn put_json(&self, path: impl Into<String>, body: &Value) -> Answer {
        self.ask(Request::put(path).body(body.to_string())).await
    }

    /// Any method, without a body.
    pub(crate) async fn method(&self, method: Method, path: &str) -> Answer {
        self.ask(Request::new(method, path)).await
    }

    /// `GET` with one more header.
    pub(crate) async fn get_with(
        &self,
        path: &str,
        header: HeaderName,
        value: &'static str,
    ) -> Answer {
        self.ask(Request::get(path).header(header, HeaderValue::from_static(value))).await
    }

    pub(crate) async fn ask(&self, request: Request) -> Answer {
        let sent = format!("{request:?}");
        match request.send(self.http_addr()).await {
            Ok(answer) => answer,
            Err(error) => panic!("{sent}: {error}"),
        }
    }

    /// DNS.
    pub(crate) async fn dns(&self, name: &str, kind: RecordType, via: Via) -> dns::Answer {
        match dns::ask(self.dns_addr(), name, kind, via).await {
            Ok(answer) => answer,
            Err(error) => panic!("{name} {kind} {via:?}: {error}"),
        }
    }

    /// Registers a service, and waits until the catalog has it as the agent does.
    pub(crate) async fn register(&self, service: &Value) {
        self.put_json("/v1/agent/service/register", service).await.is(200, "");
        let id = ["ID", "Name", "name"].into_iter().find_map(|key| service[key].as_str());
        self.settled(id.unwrap_or_default()).await;
    }

    /// Deregisters it, and waits until the catalog no longer has it.
    pub(crate) async fn deregister(&self, id: &str) {
        self.put(format!("/v1/agent/service/deregister/{id}")).await.is(200, "");
        self.settled(id).await;
    }

    /// Waits until the catalog has the agent's data of this instance: Consul's agent synchronizes with its server asynchronously.
    pub(crate) async fn settled(&self, id: &str) {
        self.until(&format!("{id} in the catalog as on the agent"), || async {
            let agent = self.get("/v1/agent/services").await.json()[id].clone();
            let node = self.get(format!("/v1/catalog/node/{NODE}")).await.json();
            let catalog = &node["Services"][id];
            let same = |key: &str| agent[key] == catalog[key];
            let here = ["ID", "Service", "Port", "Address", "Tags"].into_iter().all(same);
            here && self.statuses_on_agent(id).await == self.statuses_in_catalog(id).await
        })
        .await;
    }

    async fn statuses_on_agent(&self, id: &str) -> Vec<(Value, Value)> {
        let checks = self.get("/v1/agent/checks").await.json();
        statuses(checks.as_object().into_iter().flat_map(|checks| checks.values()), id)
    }

    async fn statuses_in_catalog(&self, id: &str) -> Vec<(Value, Value)> {
        let checks = self.get(format!("/v1/health/node/{NODE}")).await.json();
        statuses(checks.as_array().into_iter().flatten(), id)
    }

    /// Waits until this holds.
    pub(crate) async fn until<F>(&self, what: &str, comes_true: impl Fn() -> F)
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + TRUE_WITHIN;
        while !comes_true().await {
            assert!(Instant::now() < deadline, "did not become true: {what}");
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// One check of `/v1/agent/checks`; null if there is none.
    pub(crate) async fn check(&self, id: &str) -> Value {
        self.get("/v1/agent/checks").await.ok()[id].clone()
    }

    /// Status and output of a check.
    pub(crate) async fn status(&self, check: &str) -> (String, String) {
        let check = self.check(check).await;
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("Status"), text("Output"))
    }

    /// The ids of the instances in `/v1/health/service/...`, in its order.
    pub(crate) async fn instances(&self, name_and_query: &str) -> Vec<String> {
        ids(&self.get(format!("/v1/health/service/{name_and_query}")).await.ok())
    }
}

/// The ids of the instances in a health answer.
pub(crate) fn ids(entries: &Value) -> Vec<String> {
    let id = |entry: &Value| entry["Service"]["ID"].as_str().unwrap_or_default().to_owned();
    entries.as_array().into_iter().flatten().map(id).collect()
}

fn statuses<'a>(checks: impl Iterator<Item = &'a Value>, id: &str) -> Vec<(Value, Value)> {
    let of_it = checks.filter(|check| check["ServiceID"] == id);
    let mut statuses: Vec<_> =
        of_it.map(|check| (check["CheckID"].clone(), check["Status"].clone())).collect();
    statuses.sort_by_key(|(id, _)| id.to_string());
    statuses
}

/// Assertions about an answer.
pub(crate) trait AnswerExt {
    /// This status, and exactly this text.
    #[track_caller]
    fn is(&self, status: u16, text: &str);
    /// 200, and JSON.
    #[track_caller]
    fn ok(&self) -> Value;
    /// 200, and JSON like this (see [`differences`]).
    #[track_caller]
    fn is_like(&self, expected: &Value);
    /// Its `X-Consul-Index`.
    #[track_caller]
    fn index(&self) -> u64;
}

impl AnswerExt for Answer {
    fn is(&self, status: u16, text: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, text));
    }

    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    fn is_like(&self, expected: &Value) {
        like(&self.ok(), expected);
    }

    fn index(&self) -> u64 {
        let index = self.header("x-consul-index").and_then(|index| index.parse().ok());
        index.unwrap_or_else(|| panic!("no X-Consul-Index: {:?}", self.headers))
    }
}

/// Panics unless the value is like the expected one (see [`differences`]).
#[track_caller]
pub(crate) fn like(actual: &Value, expected: &Value) {
    let found = differences(actual, expected);
    assert!(found.is_empty(), "{}\nin {actual:#}", found.join("\n"));
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(binary) => write!(f, "consul {}", binary.version()),
            Self::Embedded => f.write_str("the embedded agent"),
        }
    }
}
