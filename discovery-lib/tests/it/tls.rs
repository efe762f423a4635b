//! A real Consul that has TLS and verifies its clients, with certificates that Consul's own command made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use discovery::{
    Discovery, Query, Registration, Settings,
    agent::{Address, AgentClient, AgentSettings, ReadOptions, Tls},
    registration::RegistrationState,
};
use tempfile::TempDir;
use testkit::consul::{Binary, Clients, Consul};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    watch::until::{until, until_instances},
    world::SOON,
};

/// The agent, and the files of its clients.
struct World {
    consul: Consul,
    dir: TempDir,
}

impl World {
    /// None without a Consul.
    async fn start() -> Option<Self> {
        let binary = Binary::find_or_skip()?;
        let dir = tempfile::tempdir().unwrap();
        consul_tls(&binary, dir.path(), &["ca", "create"]);
        consul_tls(&binary, dir.path(), &["cert", "create", "-server"]);
        for _ in 0..2 {
            consul_tls(&binary, dir.path(), &["cert", "create", "-client"]);
        }
        let [ca, cert, key] =
            ["consul-agent-ca.pem", "dc1-server-consul-0.pem", "dc1-server-consul-0-key.pem"]
                .map(|name| dir.path().join(name));
        let settings = Consul::of(&binary).tls(&ca, &cert, &key, Clients::Verified);
        let world = Self { consul: settings.start().await.unwrap(), dir };
        world.put("client.pem", &world.made(0, ""));
        world.put("client-key.pem", &world.made(0, "-key"));
        Some(world)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    /// The nth certificate of a client, or its key.
    fn made(&self, nth: u8, which: &str) -> String {
        fs::read_to_string(self.file(&format!("dc1-client-consul-{nth}{which}.pem"))).unwrap()
    }

    fn tls(&self) -> Tls {
        Tls::default().ca_file(self.file("consul-agent-ca.pem"))
    }

    fn with_client(&self) -> Tls {
        self.tls().client(self.file("client.pem"), self.file("client-key.pem"))
    }

    fn agent(&self, tls: Tls) -> AgentSettings {
        let address = format!("https://{}", self.consul.https_addr());
        AgentSettings::new(address.parse::<Address>().unwrap()).tls(tls)
    }

    fn discovery(&self) -> Discovery {
        let settings = Settings::new(self.agent(self.with_client())).dns(self.consul.dns_addr());
        Discovery::new(settings).unwrap()
    }

    async fn error(&self, agent: AgentSettings) -> String {
        AgentClient::new(agent).unwrap().leader().await.unwrap_err().to_string()
    }
}

fn consul_tls(binary: &Binary, dir: &Path, arguments: &[&str]) {
    let mut command = Command::new(binary.path());
    let made = command.arg("tls").args(arguments).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn an_instance_is_registered_found_and_deregistered_over_mutual_tls() {
    let Some(world) = World::start().await else { return };
    let discovery = world.discovery();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let registered = discovery.register(Registration::new("web", at)).unwrap();
    registered.set_accepting();
    timeout(SOON, registered.ready()).await.unwrap().unwrap();
    let found = [format!("{at} passing")];
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    let mut watches = [discovery::Source::Catalog, discovery::Source::Dns]
        .map(|source| discovery.watch(Query::new("web").source(source)));
    for watch in &mut watches {
        until_instances(watch, &found).await;
    }
    registered.leave().await;
    for watch in &mut watches {
        until_instances(watch, &[]).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_named() {
    let Some(world) = World::start().await else { return };
    let https = world.consul.https_addr();
    let start =
        format!("GET /v1/status/leader: no TLS connection to the agent at https://{https}: ");
    for (tls, reason) in [
        (
            world.tls(),
            "it requires a client certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
        ),
        (
            Tls::default(),
            "its certificate is signed by an authority that this system does not know: set CONSUL_CACERT to the CA of the agent",
        ),
        (
            world.tls().server_name("other"),
            "its certificate is for server.dc1.consul, localhost, 127.0.0.1, and not for other: set CONSUL_TLS_SERVER_NAME to a name of the certificate",
        ),
    ] {
        assert_eq!(world.error(world.agent(tls)).await, format!("{start}{reason}"));
    }
    let plain = AgentSettings::new(https);
    let expected =
        format!("GET /v1/status/leader: the port of the agent at {https} is for TLS: use https://");
    assert_eq!(world.error(plain).await, expected);
    let http = world.consul.http_addr();
    let address = format!("https://{http}").parse::<Address>().unwrap();
    let expected = format!(
        "GET /v1/status/leader: no TLS connection to the agent at https://{http}: it does not answer with TLS: use http:// if that port is for plain HTTP"
    );
    assert_eq!(world.error(AgentSettings::new(address).tls(world.tls())).await, expected);
    let working = [
        world.with_client().server_name("server.dc1.consul"),
        world.with_client().server_name("localhost"),
        world.with_client().server_name("other").unverified(),
    ];
    for tls in working {
        AgentClient::new(world.agent(tls)).unwrap().leader().await.unwrap();
    }
}

/// The connections of this test to the agent.
const CONNECTIONS_MAX: usize = 120;
const MORE_CONNECTIONS: usize = 12;

/// Reads the catalog side by side, over more connections than are open.
async fn read(discovery: &Discovery, connections: usize) {
    let mut reads = JoinSet::new();
    for _ in 0..connections {
        let agent = discovery.agent().clone();
        reads.spawn(async move { agent.services(&ReadOptions::new()).await });
    }
    for read in reads.join_all().await {
        read.unwrap();
    }
}

#[tokio::test]
async fn a_client_certificate_is_rotated_under_load_and_no_request_fails() {
    let Some(world) = World::start().await else { return };
    let discovery = world.discovery();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut registered = discovery.register(Registration::new("web", at)).unwrap();
    registered.set_accepting();
    timeout(SOON, registered.ready()).await.unwrap().unwrap();
    let lost = tokio::spawn(async move {
        while registered.state() == RegistrationState::Ready {
            registered.changed().await;
        }
        registered.state()
    });
    let (cert, key) = (world.made(1, ""), world.made(1, "-key"));
    let states = [
        ("client.pem", ""),
        ("client.pem", &cert[..cert.len() / 2]),
        ("client.pem", &*cert),
        ("client-key.pem", ""),
        ("client-key.pem", &key[..key.len() / 2]),
        ("client-key.pem", &*key),
    ];
    let mut connections = MORE_CONNECTIONS;
    read(&discovery, connections).await;
    let mut watches = Vec::new();
    for (nth, (file, text)) in states.iter().enumerate() {
        world.put(file, text);
        connections = (connections + MORE_CONNECTIONS).min(CONNECTIONS_MAX);
        read(&discovery, connections).await;
        // A query of its own, whose blocking query needs a connection of its own.
        let condition = format!("Service.Port != {}", nth + 1);
        let mut watch = discovery.watch(Query::new("web").filter(condition));
        until_instances(&mut watch, &[&*format!("{at} passing")]).await;
        watches.push(watch);
        // Half written for a second, with heartbeats and blocking queries under way.
        sleep(Duration::from_secs(1)).await;
        for watch in &watches {
            assert!(watch.current().failure.is_none(), "{file}: {:?}", watch.current());
        }
    }
    assert!(!lost.is_finished(), "{:?}", lost.await);
    lost.abort();
    let fresh = world.discovery();
    let mut watch = fresh.watch("web");
    until(&mut watch, |watched| watched.failure.is_none() && watched.snapshot.is_some()).await;
}
