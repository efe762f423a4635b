//! Repeated commands do not use up the connections that the agent allows this host. Consul enforces the limit: an embedded
//! agent has none. `up` and `agent` query only the embedded one.

use std::{net::SocketAddr, time::Duration};

use http::StatusCode;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
    proxy::{Mode, Proxy},
};
use tokio::{process::Command, task::JoinSet};

use crate::process::{Running, discovery, done, text};

/// More than the agent allows per address.
const RUNS: usize = 250;
/// Commands that run at the same time.
const AT_ONCE: usize = 4;

/// A Consul with a DNS delay, and this number of services with one instance each.
struct World {
    consul: Consul,
    dns: Proxy,
}

impl World {
    /// None without a Consul.
    async fn start(services: usize, dns_delay: Duration) -> Option<Self> {
        let binary = Binary::find_or_skip()?;
        let consul = Consul::of(&binary).start().await.unwrap();
        let dns = Proxy::start(consul.dns_addr()).await.unwrap();
        dns.set(Mode::Delay(dns_delay)).await.unwrap();
        let world = Self { consul, dns };
        for number in 0..services {
            world.register(&format!("web{number}")).await;
        }
        Some(world)
    }

    async fn register(&self, name: &str) {
        let body = format!(r#"{{"Name": "{name}", "Address": "10.0.0.1", "Port": 80}}"#);
        let request = Request::put("/v1/agent/service/register").body(body);
        let answer = request.send(self.consul.http_addr()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }

    /// New connections from this address are answered.
    async fn has_access(&self) {
        for _ in 0..3 {
            self.register("access").await;
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (http, dns): (SocketAddr, SocketAddr) = (self.consul.http_addr(), self.dns.addr());
        let mut command = discovery(arguments);
        command.args(["--http-addr", &http.to_string(), "--dns-addr", &dns.to_string()]);
        command
    }
}

#[tokio::test]
async fn many_services_are_listed() {
    const SERVICES: usize = 300;
    let Some(world) = World::start(SERVICES, Duration::from_millis(5)).await else { return };
    let output = done(&mut world.command(&["services"])).await;
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    // Plus the heading, and Consul itself.
    assert_eq!(text(&output.stdout).lines().count(), SERVICES + 2);
    world.has_access().await;
}

#[tokio::test]
async fn a_service_is_resolved_many_times() {
    let Some(world) = World::start(1, Duration::ZERO).await else { return };
    let mut resolving = JoinSet::new();
    for _ in 0..RUNS {
        if resolving.len() == AT_ONCE {
            resolving.join_next().await.unwrap().unwrap();
        }
        let mut command = world.command(&["resolve", "web0"]);
        resolving.spawn(async move {
            let output = done(&mut command).await;
            assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        });
    }
    while let Some(resolved) = resolving.join_next().await {
        resolved.unwrap();
    }
    world.has_access().await;
}

#[tokio::test]
async fn a_watch_is_started_and_stopped_many_times() {
    let Some(world) = World::start(1, Duration::ZERO).await else { return };
    for _ in 0..RUNS {
        let mut running = Running::start(&mut world.command(&["watch", "web0"]));
        running.wait_for_text("http  + 10.0.0.1:80").await;
        running.signal(rustix::process::Signal::TERM);
        running.ended().await;
    }
    world.has_access().await;
}
