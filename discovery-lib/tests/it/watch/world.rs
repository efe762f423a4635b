//! A Consul, real or embedded, behind a proxy that misbehaves on demand, and a library that knows only the proxy.

use std::{net::SocketAddr, time::Duration};

use discovery::{
    Discovery, DnsAddress, Host, Instance, Settings, Watch, Watched, agent::AgentSettings,
};
use serde_json::json;
use testkit::{
    consul::{Binary, Consul, Data},
    http::Question,
    proxy::Proxy,
};
use tokio::time::timeout;

/// What a test waits for comes within this time, even on a slow machine.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Debug)]
pub(super) enum Engine {
    Real(Box<Consul>),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) http: Proxy,
    pub(super) dns: Proxy,
    pub(super) discovery: Discovery,
}

/// A world for each engine there is.
pub(super) async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    if let Some(binary) = Binary::find_or_skip() {
        let consul = Consul::of(&binary).start().await.unwrap();
        worlds.push(World::of(Engine::Real(Box::new(consul))).await);
    }
    worlds
}

impl Engine {
    fn http_addr(&self) -> SocketAddr {
        match self {
            Self::Real(consul) => consul.http_addr(),
        }
    }

    fn dns_addr(&self) -> SocketAddr {
        match self {
            Self::Real(consul) => consul.dns_addr(),
        }
    }
}

impl World {
    async fn of(engine: Engine) -> Self {
        let http = Proxy::start(engine.http_addr()).await.unwrap();
        let dns = Proxy::start(engine.dns_addr()).await.unwrap();
        let settings = Settings {
            agent: AgentSettings { address: http.addr().into(), ..AgentSettings::default() },
            dns: DnsAddress { host: Host::Ip(dns.addr().ip()), port: dns.addr().port() },
            ..Settings::default()
        };
        let discovery = Discovery::new(settings).unwrap();
        Self { engine, http, dns, discovery }
    }

    /// Registers an instance `<service>-<port>` at 10.0.0.1 with a TTL check that passes.
    pub(super) async fn register(&self, service: &str, port: u16) {
        let check = json!({"TTL": "10m", "Status": "passing"});
        let registration = json!({"ID": format!("{service}-{port}"), "Name": service,
            "Address": "10.0.0.1", "Port": port, "Check": check});
        self.put("/v1/agent/service/register", &registration.to_string()).await;
    }

    pub(super) async fn deregister(&self, service: &str, port: u16) {
        self.put(&format!("/v1/agent/service/deregister/{service}-{port}"), "").await;
    }

    /// `pass`, `warn` or `fail`.
    pub(super) async fn report(&self, how: &str, service: &str, port: u16) {
        self.put(&format!("/v1/agent/check/{how}/service:{service}-{port}"), "").await;
    }

    pub(super) async fn put(&self, target: &str, body: &str) {
        let question = Question::put(target).body(body.to_owned());
        let answer = question.send(self.engine.http_addr()).await.unwrap();
        assert!(answer.status.is_success(), "{target}: {} {}", answer.status, answer.text());
    }

    /// All that was registered is lost, and the index starts anew.
    pub(super) async fn lose_everything(&mut self) {
        match &mut self.engine {
            Engine::Real(consul) => {
                consul.kill().unwrap();
                consul.start_again(Data::Wiped).await.unwrap();
            }
        }
    }
}

/// What is known as soon as this holds.
#[track_caller]
pub(super) fn until(
    watch: &mut Watch,
    what: impl Fn(&Watched) -> bool,
) -> impl Future<Output = Watched> {
    let caller = std::panic::Location::caller();
    async move {
        let waited = timeout(SOON, async {
            loop {
                let watched = watch.current();
                if what(&watched) {
                    return watched;
                }
                watch.changed().await.unwrap();
            }
        });
        let Ok(watched) = waited.await else {
            panic!("{caller}: not within {SOON:?}, but {:?}", watch.current())
        };
        watched
    }
}

/// What is known as soon as exactly these instances are: `host:port status`.
#[track_caller]
pub(super) fn until_instances(
    watch: &mut Watch,
    expected: &[&str],
) -> impl Future<Output = Watched> {
    until(watch, move |watched| shown(watched) == expected)
}

/// `host:port status` of each known instance.
pub(super) fn shown(watched: &Watched) -> Vec<String> {
    let Some(snapshot) = &watched.snapshot else { return vec!["nothing known".into()] };
    let show = |instance: &Instance| format!("{instance} {}", instance.status);
    snapshot.instances.iter().map(|instance| show(instance)).collect()
}
