//! A Consul, embedded or real, behind a proxy that injects faults, and a `Discovery` that uses the proxy.

use std::{net::SocketAddr, path::Path, time::Duration};

use discovery::{
    Discovery, Settings,
    agent::{AgentClient, AgentSettings},
};
use discovery_agent::Agent;
use serde_json::json;
use testkit::{
    consul::{Binary, Consul, Data},
    http::Request,
    proxy::{Mode, Proxy},
};

/// The deadline of everything that a test waits for, generous for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// The Consul of a test.
#[derive(Debug)]
pub(crate) enum Engine {
    Embedded(Agent),
    Real(Box<Consul>),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) http: Proxy,
    pub(crate) dns: Proxy,
    pub(crate) discovery: Discovery,
    /// Without the proxy.
    pub(crate) direct: AgentClient,
}

/// Runs a case on the embedded agent, and concurrently on a real Consul if there is one.
pub(crate) async fn everywhere(case: impl AsyncFn(World)) {
    let embedded = async {
        case(World::embedded().await).await;
    };
    let real = async {
        if let Some(binary) = Binary::find_or_skip() {
            let consul = Consul::of(&binary).start().await.unwrap();
            case(World::of(Engine::Real(Box::new(consul))).await).await;
        }
    };
    tokio::join!(embedded, real);
}

impl Engine {
    pub(crate) fn http_addr(&self) -> SocketAddr {
        match self {
            Self::Embedded(agent) => agent.http_addr(),
            Self::Real(consul) => consul.http_addr(),
        }
    }

    fn dns_addr(&self) -> SocketAddr {
        match self {
            Self::Embedded(agent) => agent.dns_addr(),
            Self::Real(consul) => consul.dns_addr(),
        }
    }
}

fn settings(http: &Proxy, dns: &Proxy) -> Settings {
    Settings::new(AgentSettings::new(http.addr())).dns(dns.addr())
}

impl World {
    async fn of(engine: Engine) -> Self {
        let http = Proxy::start(engine.http_addr()).await.unwrap();
        let dns = Proxy::start(engine.dns_addr()).await.unwrap();
        let discovery = Discovery::new(settings(&http, &dns)).unwrap();
        let direct = AgentClient::new(AgentSettings::new(engine.http_addr()));
        Self { engine, http, dns, discovery, direct: direct.unwrap() }
    }

    /// On the embedded agent alone.
    pub(crate) async fn embedded() -> Self {
        Self::of(Engine::Embedded(Agent::start().await.unwrap())).await
    }

    /// Another process, as far as discovery is concerned: it shares only this directory with others.
    pub(crate) fn process(&self, snapshots: &Path) -> Discovery {
        let settings = settings(&self.http, &self.dns);
        Discovery::builder(settings).snapshots(snapshots).build().unwrap()
    }

    /// Consul is away, in this way.
    pub(crate) async fn away(&self, mode: Mode) {
        for proxy in [&self.http, &self.dns] {
            proxy.set(mode).await.unwrap();
            proxy.cut().await.unwrap();
        }
    }

    /// Consul is back.
    pub(crate) async fn back(&self) {
        for proxy in [&self.http, &self.dns] {
            proxy.set(Mode::Pass).await.unwrap();
        }
    }

    /// Registers an instance `<service>-<port>` at 10.0.0.1 with a TTL check that passes.
    pub(crate) async fn register(&self, service: &str, port: u16) {
        let check = json!({"TTL": "10m", "Status": "passing"});
        let registration = json!({"ID": format!("{service}-{port}"), "Name": service,
            "Address": "10.0.0.1", "Port": port, "Check": check});
        self.put("/v1/agent/service/register", &registration.to_string()).await;
    }

    pub(crate) async fn deregister(&self, service: &str, port: u16) {
        self.put(&format!("/v1/agent/service/deregister/{service}-{port}"), "").await;
    }

    /// `pass`, `warn` or `fail`.
    pub(crate) async fn report(&self, how: &str, service: &str, port: u16) {
        self.put(&format!("/v1/agent/check/{how}/service:{service}-{port}"), "").await;
    }

    pub(crate) async fn put(&self, target: &str, body: &str) {
        let request = Request::put(target).body(body.to_owned());
        let answer = request.send(self.engine.http_addr()).await.unwrap();
        assert!(answer.status.is_success(), "{target}: {} {}", answer.status, answer.text());
    }

    /// Connections that the engine holds, including those that their client has closed: Consul's limit of 200 per address counts these too.
    pub(crate) fn held(&self) -> usize {
        const ESTABLISHED: &str = "01";
        const CLOSE_WAIT: &str = "08";
        let port = format!(":{:04X}", self.engine.http_addr().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let is_held = |line: &&str| {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next().unwrap_or_default(), words.nth(1));
            local.ends_with(&port) && matches!(state, Some(ESTABLISHED | CLOSE_WAIT))
        };
        table.lines().filter(is_held).count()
    }

    /// Accepts requests and answers none.
    pub(crate) fn freeze(&self) {
        match &self.engine {
            Engine::Embedded(agent) => agent.freeze(),
            Engine::Real(consul) => consul.freeze().unwrap(),
        }
    }

    pub(crate) fn thaw(&self) {
        match &self.engine {
            Engine::Embedded(agent) => agent.thaw(),
            Engine::Real(consul) => consul.thaw().unwrap(),
        }
    }

    /// Removes all registrations, and restarts the index.
    pub(crate) async fn lose_everything(&mut self) {
        match &mut self.engine {
            Engine::Embedded(agent) => agent.forget_everything(),
            Engine::Real(consul) => {
                consul.kill().unwrap();
                consul.start_again(Data::Wiped).await.unwrap();
            }
        }
    }
}
