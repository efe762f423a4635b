//! A failover between two real datacenters.

use std::{net::SocketAddr, time::Duration};

use discovery::{Client, Discovery, Query, Settings, Watch, Watched, agent::AgentSettings};
use http::Method;
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::until::until;
use crate::world::SOON;

/// Two datacenters of one server each, joined over the WAN. Discovery uses the agent of the first.
struct World {
    dc1: Consul,
    dc2: Consul,
    discovery: Discovery,
}

impl World {
    /// None without a Consul.
    async fn start() -> Option<Self> {
        let binary = Binary::find_or_skip()?;
        let dc1 = Consul::of(&binary).start().await.unwrap();
        let join = json!({"retry_join_wan": [dc1.serf_wan_addr().to_string()]});
        let dc2 = Consul::of(&binary).node("node2").datacenter("dc2").config(join);
        let dc2 = dc2.start().await.unwrap();
        let settings = AgentSettings::new(dc1.http_addr());
        let discovery = Discovery::new(Settings::new(settings).dns(dc1.dns_addr())).unwrap();
        let world = Self { dc1, dc2, discovery };
        world.joined().await;
        Some(world)
    }

    async fn joined(&self) {
        let knows = async {
            while self.discovery.ask(Query::new("consul").datacenter("dc2")).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(SOON, knows).await.expect("dc1 doesn't know dc2");
    }
}

async fn put(consul: &Consul, path: &str, body: &str) {
    let response = Request::new(Method::PUT, path)
        .body(body.to_owned())
        .send(consul.http_addr())
        .await
        .unwrap();
    assert_eq!(response.status, 200, "{path}: {response:?}");
}

/// Registers an instance whose check passes.
async fn register(consul: &Consul, at: SocketAddr) {
    let body = json!({"Name": "web", "Address": at.ip(), "Port": at.port(),
        "Check": {"TTL": "10m", "Status": "passing"}});
    put(consul, "/v1/agent/service/register", &body.to_string()).await;
}

async fn report(consul: &Consul, how: &str) {
    put(consul, &format!("/v1/agent/check/{how}/service:web"), "").await;
}

fn datacenters(watched: &Watched) -> Vec<String> {
    let instances = watched.snapshot.iter().flat_map(|it| it.instances.iter());
    instances.map(|it| it.datacenter.as_deref().unwrap_or_default().to_owned()).collect()
}

async fn until_in(watch: &mut Watch, datacenter: &str) -> Watched {
    until(watch, |watched| datacenters(watched) == [datacenter]).await
}

/// A server that answers each request with this text.
async fn serve(text: &'static str) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _head = stream.read(&mut [0; 4096]).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                text.len()
            );
            stream.write_all(format!("{head}{text}").as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    };
    (addr, AbortOnDropHandle::new(tokio::spawn(serve)))
}

#[tokio::test]
async fn calls_go_to_the_next_datacenter_while_the_first_has_too_few_instances() {
    let Some(world) = World::start().await else { return };
    let World { dc1, dc2, discovery } = &world;
    let (here, _here) = serve("dc1").await;
    let (there, _there) = serve("dc2").await;
    register(dc1, here).await;
    register(dc2, there).await;
    let query = Query::new("web").failover(["dc2"]);
    let mut watch = discovery.watch(&query);
    let client = Client::new({
        let discovery = discovery.clone();
        move |name| discovery.pool(Query::new(name).failover(["dc2"]))
    });
    // The pool sees a change at the same time as the watch, but for the last step.
    let until_called = async |datacenter: &str| {
        let called = async {
            loop {
                if let Ok(response) = client.get("http://web/").await
                    && response.into_body().text(100).await.unwrap() == datacenter
                {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, called).await.expect(datacenter);
    };
    until_in(&mut watch, "dc1").await;
    until_called("dc1").await;
    report(dc1, "fail").await;
    until_in(&mut watch, "dc2").await;
    until_called("dc2").await;
    report(dc1, "pass").await;
    until_in(&mut watch, "dc1").await;
    put(dc1, "/v1/agent/service/deregister/web", "").await;
    until_in(&mut watch, "dc2").await;
    assert_eq!(datacenters(&Watched::from(discovery.ask(&query).await.unwrap())), ["dc2"]);
    register(dc1, here).await;
    until_in(&mut watch, "dc1").await;
    until_called("dc1").await;
}

#[tokio::test]
async fn a_first_datacenter_that_can_not_be_asked_is_replaced_by_the_next_one() {
    let Some(mut world) = World::start().await else { return };
    register(&world.dc1, "10.0.0.1:80".parse().unwrap()).await;
    register(&world.dc2, "10.0.0.2:80".parse().unwrap()).await;
    let query = || Query::new("web").datacenter("dc2").failover(["dc1"]);
    let mut watch = world.discovery.watch(query());
    until_in(&mut watch, "dc2").await;
    world.dc2.kill().unwrap();
    until_in(&mut watch, "dc1").await;
    // It fails at once at the start.
    assert_eq!(datacenters(&Watched::from(world.discovery.ask(query()).await.unwrap())), ["dc1"]);
    let nowhere = Query::new("web").datacenter("nowhere").failover(["dc1"]);
    until_in(&mut world.discovery.watch(&nowhere), "dc1").await;
    // None can be asked: what is known is kept.
    world.dc1.kill().unwrap();
    let kept = until(&mut watch, |watched| watched.failure.is_some()).await;
    assert_eq!(datacenters(&kept), ["dc1"]);
}
