//! TLS with a server that can be made to misbehave, and with files that can't be used.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use discovery_agent::Agent;
use tempfile::TempDir;
use testkit::{
    certificates::{Authority, Certificate, Validity},
    tls::Front,
};
use tokio::time::{sleep, timeout};

use super::super::*;

/// The deadline of everything that a test waits for, generous for a slow machine.
const SOON: Duration = Duration::from_secs(90);

/// Some of this number of refusals arrive before the request is sent.
const HANDSHAKES: usize = 1000;

/// An agent with TLS, and the files of its clients.
struct World {
    agent: Agent,
    front: Front,
    authority: Authority,
    dir: TempDir,
}

impl World {
    /// Its certificate is for these names.
    async fn start(names: &[&str], validity: Validity, clients: bool) -> Self {
        let authority = Authority::new("Consul Agent CA").unwrap();
        let certificate = authority.issue(names, validity).unwrap();
        let agent = Agent::start().await.unwrap();
        let clients = clients.then(|| authority.pem());
        let front = Front::start(agent.http_addr(), &certificate, clients).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let client = authority.issue(&["client"], Validity::Now).unwrap();
        client.write(dir.path(), "client").unwrap();
        Self { agent, front, authority, dir }
    }

    async fn usual() -> Self {
        Self::start(&["localhost", "127.0.0.1"], Validity::Now, false).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls::default().ca_file(self.file("ca.pem"))
    }

    fn with_client(&self) -> Tls {
        self.tls().client(self.file("client.pem"), self.file("client-key.pem"))
    }

    fn client(&self, tls: Tls) -> AgentClient {
        client("https", self.front.addr(), tls)
    }

    /// What is wrong with these settings.
    async fn error(&self, tls: Tls) -> String {
        text(&self.client(tls).leader().await.unwrap_err(), self.dir.path())
    }
}

fn client(scheme: &str, at: SocketAddr, tls: Tls) -> AgentClient {
    let address = format!("{scheme}://{at}").parse::<Address>().unwrap();
    AgentClient::new(AgentSettings::new(address).tls(tls)).unwrap()
}

/// An error in one line, with short paths, without the address of the agent.
fn text(err: &Error, dir: &Path) -> String {
    let text = crate::error::with_causes(err);
    let text = text.replace(&format!("{}/", dir.display()), "");
    match text.split_once("no TLS connection to the agent at ") {
        Some((_, rest)) => rest.split_once(": ").unwrap().1.to_owned(),
        None => text,
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_used_is_an_error_that_names_it() {
    let world = World::usual().await;
    let other = Authority::new("Another").unwrap().issue(&["client"], Validity::Now).unwrap();
    let good = fs::read_to_string(world.file("client.pem")).unwrap();
    let write = |name: &str, text: &str| fs::write(world.file(name), text).unwrap();
    write("empty.pem", "");
    write("text.pem", "hello\n");
    write("half.pem", &good[..good.len() / 2]);
    write("garbage.pem", "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n");
    write("no.pem", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n");
    write("other-key.pem", &other.key);
    fs::create_dir(world.file("none")).unwrap();
    let at = |name: &str| world.file(name);
    let client = |cert: &str, key: &str| world.tls().client(at(cert), at(key));
    for (tls, expected) in [
        (
            client("absent.pem", "client-key.pem"),
            "the client certificate absent.pem can't be read: No such file or directory (os error 2)",
        ),
        (
            client("empty.pem", "client-key.pem"),
            "the client certificate empty.pem is empty: it must have PEM blocks",
        ),
        (
            client("text.pem", "client-key.pem"),
            "the client certificate text.pem has no certificate: it must have a PEM block CERTIFICATE",
        ),
        (
            client("half.pem", "client-key.pem"),
            "the client certificate half.pem ends within a PEM block: it is not complete",
        ),
        (
            client("garbage.pem", "client-key.pem"),
            "the client certificate garbage.pem is not valid PEM",
        ),
        (
            client("client.pem", "client.pem"),
            "the client key client.pem has no private key: it must have a PEM block PRIVATE KEY, not encrypted",
        ),
        (
            client("client.pem", "other-key.pem"),
            "the client key other-key.pem is not the key of the certificate client.pem",
        ),
        (
            Tls::default().ca_file(at("no.pem")),
            "the CA file no.pem has a certificate that is not valid: invalid peer certificate: BadEncoding",
        ),
        (
            Tls::default().ca_file(at("absent.pem")),
            "the CA file absent.pem can't be read: No such file or directory (os error 2)",
        ),
        (Tls::default().ca_path(at("none")), "the directory of CA files none has no file"),
        (
            Tls::default().ca_path(at("ca.pem")),
            "the directory of CA files ca.pem can't be read: Not a directory (os error 20)",
        ),
    ] {
        let err = world.client(tls).leader().await.unwrap_err();
        assert_eq!(text(&err, world.dir.path()), expected);
        assert!(err.is_setting() && !err.is_retryable(), "{err:?}");
    }
    assert_eq!(world.front.handshakes() + world.front.refused(), 0, "nothing is sent");
}

#[tokio::test]
async fn a_failed_handshake_is_an_error_that_names_the_remedy() {
    let world = World::usual().await;
    let other = Authority::new("Another").unwrap();
    fs::write(world.file("other.pem"), other.pem()).unwrap();
    fs::create_dir(world.file("others")).unwrap();
    fs::write(world.file("others/other.pem"), other.pem()).unwrap();
    let at = |name: &str| world.file(name);
    for (tls, expected) in [
        (
            Tls::default(),
            "its certificate is signed by an authority that this system does not know: set CONSUL_CACERT to the CA of the agent",
        ),
        (
            Tls::default().ca_file(at("other.pem")),
            "its certificate is signed by an authority that is not in other.pem: set CONSUL_CACERT to the CA of the agent",
        ),
        (
            Tls::default().ca_path(at("others")),
            "its certificate is signed by an authority that is not in others: add the CA of the agent to it (CONSUL_CAPATH)",
        ),
        (
            world.tls().server_name("server.dc1.consul"),
            "its certificate is for localhost, 127.0.0.1, and not for server.dc1.consul: set CONSUL_TLS_SERVER_NAME to a name of the certificate",
        ),
    ] {
        assert_eq!(world.error(tls).await, expected);
    }
    for (validity, expected) in [
        (
            Validity::Past,
            "its certificate has expired: renew it, or correct the clock of this machine",
        ),
        (Validity::Future, "its certificate is not valid yet: correct the clock of this machine"),
    ] {
        let world = World::start(&["127.0.0.1"], validity, false).await;
        assert_eq!(world.error(world.tls()).await, expected);
        assert_eq!(
            world.client(world.tls().unverified()).leader().await.unwrap().as_deref(),
            Some("127.0.0.1:8300")
        );
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_rejected_is_named() {
    let world = World::start(&["127.0.0.1"], Validity::Now, true).await;
    let required = "it requires a client certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY";
    assert_eq!(world.error(world.tls()).await, required);
    let other = Authority::new("Another").unwrap().issue(&["client"], Validity::Now).unwrap();
    let (cert, key) = other.write(world.dir.path(), "other").unwrap();
    let rejected = "it rejects the client certificate other.pem (UnknownCA): set CONSUL_CLIENT_CERT to one that the agent's CA has signed and that has not expired";
    assert_eq!(world.error(world.tls().client(cert, key)).await, rejected);
    let expired = world.authority.issue(&["client"], Validity::Past).unwrap();
    let (cert, key) = expired.write(world.dir.path(), "expired").unwrap();
    let rejected = "it rejects the client certificate expired.pem (CertificateExpired): set CONSUL_CLIENT_CERT to one that the agent's CA has signed and that has not expired";
    assert_eq!(world.error(world.tls().client(cert, key)).await, rejected);
    world.client(world.with_client()).leader().await.unwrap();
}

/// With TLS 1.3 it arrives after the handshake: before the request is sent, or after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_named_before_and_after_the_request_is_sent() {
    let world = World::start(&["127.0.0.1"], Validity::Now, true).await;
    let client = world.client(world.tls());
    let expected = "it requires a client certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY";
    for _ in 0..HANDSHAKES {
        let err = client.leader().await.unwrap_err();
        assert_eq!(text(&err, world.dir.path()), expected);
    }
}

#[tokio::test]
async fn http_on_a_port_for_tls_and_the_reverse_are_named() {
    let world = World::usual().await;
    let plain = client("http", world.front.addr(), Tls::default()).leader().await.unwrap_err();
    assert!(
        plain.to_string().ends_with(" is not HTTP (use https:// if that port is for TLS)"),
        "{plain}"
    );
    let err = client("https", world.agent.http_addr(), world.tls()).leader().await.unwrap_err();
    let expected = "it does not answer with TLS: use http:// if that port is for plain HTTP";
    assert_eq!(text(&err, world.dir.path()), expected);
}

#[tokio::test]
async fn the_name_of_the_server_is_that_of_the_setting_or_of_the_address() {
    let world = World::start(&["server.dc1.consul"], Validity::Now, false).await;
    for name in ["server.dc1.consul", "server.dc1.consul:8501"] {
        world.client(world.tls().server_name(name)).leader().await.unwrap();
    }
    let address = format!("https://{}", world.front.addr()).parse::<Address>().unwrap();
    let settings = AgentSettings::new(address).tls(world.tls().server_name("a b"));
    let expected = "no certificate can have the name \"a b\": set CONSUL_TLS_SERVER_NAME to a host name or an IP address";
    assert_eq!(AgentClient::new(settings).unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_directory_of_authorities_is_read_as_kubernetes_mounts_it() {
    let world = World::usual().await;
    let dir = world.file("cas");
    fs::create_dir_all(dir.join("..2026/deeper")).unwrap();
    fs::write(dir.join("..2026/ca.pem"), world.authority.pem()).unwrap();
    std::os::unix::fs::symlink("..2026", dir.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/ca.pem", dir.join("ca.pem")).unwrap();
    world.client(Tls::default().ca_path(dir)).leader().await.unwrap();
}

/// Requests all the time, each soon on a new connection.
struct Load {
    client: AgentClient,
    failures: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(client: AgentClient) -> Self {
        let (failures, stop) = (Arc::default(), Arc::<AtomicBool>::default());
        let tasks = (0..4).map(|_| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            let failures = Arc::<Mutex<Vec<String>>>::clone(&failures);
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    if let Err(err) = client.leader().await {
                        failures.lock().unwrap().push(crate::error::with_causes(&err));
                    }
                    client.transport.reconnect();
                }
            })
        });
        let tasks = tasks.collect();
        Self { client, failures, stop, tasks }
    }

    /// Waits for some handshakes from now on.
    async fn goes_on(&self, front: &Front) {
        let after = front.handshakes() + 20;
        let reached = async {
            while front.handshakes() < after {
                assert_eq!(*self.failures.lock().unwrap(), [] as [&str; 0]);
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, reached).await.expect("no handshakes");
    }

    async fn end(self) {
        self.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        assert_eq!(*self.failures.lock().unwrap(), [] as [&str; 0]);
        self.client.leader().await.unwrap();
    }
}

#[tokio::test]
async fn certificates_are_rotated_under_load_without_a_failed_request() {
    let world = World::start(&["127.0.0.1"], Validity::Now, true).await;
    let load = Load::start(world.client(world.with_client()));
    load.goes_on(&world.front).await;
    let new = Authority::new("New Consul Agent CA").unwrap();
    let both = format!("{}{}", world.authority.pem(), new.pem());
    let server = |by: &Authority| by.issue(&["127.0.0.1"], Validity::Now).unwrap();
    let Certificate { cert, key } = new.issue(&["client"], Validity::Now).unwrap();
    // Each state of the files lasts for some connections. First the authorities of both sides have both, then the certificates change.
    for (file, text) in [("ca.pem", ""), ("ca.pem", &both[..both.len() - 40]), ("ca.pem", &both)] {
        fs::write(world.file(file), text).unwrap();
        load.goes_on(&world.front).await;
    }
    world.front.replace(&server(&world.authority), Some(&both)).unwrap();
    load.goes_on(&world.front).await;
    world.front.replace(&server(&new), Some(&both)).unwrap();
    load.goes_on(&world.front).await;
    for (file, text) in [
        ("client.pem", ""),
        ("client.pem", &cert[..cert.len() / 2]),
        ("client.pem", &cert),
        ("client-key.pem", ""),
        ("client-key.pem", &key[..key.len() / 2]),
        ("client-key.pem", &key),
    ] {
        fs::write(world.file(file), text).unwrap();
        load.goes_on(&world.front).await;
    }
    // Only the new ones are accepted from here on: they are in use.
    world.front.replace(&server(&new), Some(new.pem())).unwrap();
    fs::write(world.file("ca.pem"), new.pem()).unwrap();
    load.goes_on(&world.front).await;
    fs::remove_file(world.file("client.pem")).unwrap();
    load.goes_on(&world.front).await;
    assert_eq!(world.front.refused(), 0);
    load.end().await;
}
