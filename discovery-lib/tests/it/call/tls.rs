//! Calls over TLS, to servers behind a TLS front.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

#[cfg(feature = "http2")]
use discovery::Protocol;
use discovery::{CallOptions, Client, Pool, Tls, TlsError, TryError};
#[cfg(feature = "http2")]
use http::Version;
use http::{Method, StatusCode};
use tempfile::TempDir;
use testkit::{
    certificates::{Authority, Validity},
    tls::Front,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Builder,
    task::JoinHandle,
};

use super::{
    client, request,
    server::{OK, Reply, Server},
};

/// Long enough for a handshake on a slow machine.
const LONG: Duration = Duration::from_secs(60);

fn options() -> CallOptions {
    CallOptions::default().connect_timeout(LONG).try_timeout(LONG).call_timeout(LONG)
}

/// An instance with TLS, and the files of its clients.
struct World {
    front: Front,
    authority: Authority,
    dir: TempDir,
}

impl World {
    /// In front of this server, with a certificate for these names.
    async fn start(to: SocketAddr, names: &[&str], validity: Validity, clients: bool) -> Self {
        let authority = Authority::new("Services").unwrap();
        let certificate = authority.issue(names, validity).unwrap();
        let clients = clients.then(|| authority.pem());
        let front = Front::start(to, &certificate, clients).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        authority.issue(&["client"], Validity::Now).unwrap().write(dir.path(), "client").unwrap();
        Self { front, authority, dir }
    }

    async fn usual(to: SocketAddr) -> Self {
        Self::start(to, &["127.0.0.1"], Validity::Now, false).await
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

    fn pool(&self) -> Pool {
        Pool::fixed("service2", [self.front.addr()])
    }

    fn client(&self, tls: Tls) -> Client {
        client_over(&self.pool(), tls)
    }

    /// Why a call with these settings fails.
    async fn why(&self, tls: Tls) -> TryError {
        why(&self.client(tls)).await
    }
}

fn client_over(pool: &Pool, tls: Tls) -> Client {
    client(pool).with_options(options().tls(tls)).unwrap()
}

async fn why(client: &Client) -> TryError {
    let error = client.request(request(Method::POST)).await.unwrap_err();
    assert!(error.is_no_instance() && error.is_unserved(), "{error}");
    error.tried()[0].why
}

/// A server without TLS, which answers whatever is sent.
async fn plain() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.ok();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    (address, task)
}

async fn post(client: &Client) -> String {
    let answer = client.request(request(Method::POST)).await.unwrap();
    answer.into_body().text(64).await.unwrap()
}

/// A certificate of another authority, in `other.pem` and `other-key.pem`; the authority in `others/ca.pem`.
fn other(dir: &Path) {
    let other = Authority::new("Others").unwrap();
    other.issue(&["client"], Validity::Now).unwrap().write(dir, "other").unwrap();
    fs::create_dir(dir.join("others")).unwrap();
    fs::write(dir.join("others/ca.pem"), other.pem()).unwrap();
}

#[tokio::test]
async fn an_instance_is_called_over_tls_by_its_address_or_by_a_name() {
    for (names, clients, server_name) in [
        (&["127.0.0.1"][..], false, None),
        (&["service2.consul"], false, Some("service2.consul")),
        (&["service2.consul", "127.0.0.1"], true, None),
    ] {
        let server = Server::always(OK).await;
        let world = World::start(server.address, names, Validity::Now, clients).await;
        let tls = if clients { world.with_client() } else { world.tls() };
        let client = world.client(server_name.into_iter().fold(tls, Tls::server_name));
        for url in ["http://service2/", "https://service2/"].repeat(5) {
            let answer = client.post(url).await.unwrap();
            assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
        }
        assert_eq!((world.front.handshakes(), server.requests().len()), (1, 10), "{names:?}");
    }
}

#[tokio::test]
async fn why_there_is_no_tls_is_named() {
    let server = Server::always(OK).await;
    let world = World::usual(server.address).await;
    other(world.dir.path());
    for (tls, expected) in [
        (Tls::default(), TlsError::Untrusted),
        (Tls::default().ca_path(world.file("others")), TlsError::Untrusted),
        (world.tls().server_name("service2.consul"), TlsError::OtherName),
    ] {
        assert_eq!(world.why(tls).await, TryError::Tls(expected));
    }
    for (names, validity, expected) in [
        (&["service2.consul"][..], Validity::Now, TlsError::OtherName),
        (&["127.0.0.1"], Validity::Past, TlsError::Expired),
        (&["127.0.0.1"], Validity::Future, TlsError::NotYetValid),
    ] {
        let world = World::start(server.address, names, validity, false).await;
        assert_eq!(world.why(world.tls()).await, TryError::Tls(expected));
        assert_eq!(post(&world.client(world.tls().unverified())).await, "hello");
    }
    let (plain, task) = plain().await;
    let client = client_over(&Pool::fixed("service2", [plain]), world.tls());
    assert_eq!(why(&client).await, TryError::Tls(TlsError::NotTls));
    let error = client.get("http://service2/").await.unwrap_err().to_string();
    assert!(error.contains(&format!("{plain} does not answer with TLS")), "{error}");
    task.abort();
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_rejected_is_named_and_the_request_is_unserved() {
    let server = Server::always(OK).await;
    let world = World::start(server.address, &["127.0.0.1"], Validity::Now, true).await;
    other(world.dir.path());
    let rejected = world.tls().client(world.file("other.pem"), world.file("other-key.pem"));
    // With TLS 1.3 it arrives after the handshake: before the request is sent, or after it.
    for _ in 0..50 {
        for (tls, expected) in [
            (world.tls(), TlsError::ClientCertificateRequired),
            (rejected.clone(), TlsError::ClientCertificateRejected),
        ] {
            assert_eq!(world.why(tls).await, TryError::Tls(expected));
        }
    }
    assert_eq!(post(&world.client(world.with_client())).await, "hello");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn files_that_can_not_be_used_fail_a_call_at_once_and_blame_no_instance() {
    let server = Server::always(OK).await;
    let world = World::usual(server.address).await;
    let pool = world.pool();
    let absent = world.file("absent.pem");
    let error = client_over(&pool, Tls::default().ca_file(&absent)).get("http://service2/").await;
    let text = format!("the CA file {} can't be read", absent.display());
    let error = error.unwrap_err();
    assert!(error.is_setting() && error.to_string().starts_with(&text), "{error}");
    assert!(error.tried().is_empty() && world.front.refused() == 0);
    let unnamed = client(&pool).with_options(options().tls(world.tls().server_name("a b")));
    let text = "no certificate can have the name \"a b\"";
    assert!(unnamed.unwrap_err().to_string().starts_with(text));
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_bad_ones_replace_no_good_ones() {
    let server = Server::always(OK).await;
    let world = World::usual(server.address).await;
    // A connection per call.
    let client = client(&world.pool()).with_options(options().idle_max(0).tls(world.tls()));
    let client = client.unwrap();
    assert_eq!(post(&client).await, "hello");
    let new = Authority::new("New").unwrap();
    for text in
        ["", "-----BEGIN CERTIFICATE-----\n", &format!("{}{}", world.authority.pem(), new.pem())]
    {
        fs::write(world.file("ca.pem"), text).unwrap();
        assert_eq!(post(&client).await, "hello", "{text}");
    }
    let certificate = new.issue(&["127.0.0.1"], Validity::Now).unwrap();
    world.front.replace(&certificate, None).unwrap();
    assert_eq!(post(&client).await, "hello");
    fs::remove_file(world.file("ca.pem")).unwrap();
    assert_eq!(post(&client).await, "hello");
    assert_eq!(world.front.handshakes(), 6);
}

#[tokio::test]
async fn a_url_with_https_needs_tls() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    let error = client(&pool).get("https://service2/x?secret").await.unwrap_err();
    let text = "https://service2/x can't be called: https:// needs TLS in the options of its calls (CallOptions::tls)";
    assert_eq!(error.to_string(), text);
    assert!(error.is_setting() && server.accepted() == 0);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_fails_no_call() {
    for reply in [
        Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Reply::SendAndHang(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        ),
    ] {
        let server = Server::always(reply).await;
        let world = World::usual(server.address).await;
        let client = world.client(world.tls());
        for nth in 1..=20 {
            assert_eq!(post(&client).await, "hello");
            assert_eq!(world.front.handshakes(), nth);
        }
    }
}

/// Waits until the ends of all connections to this port have arrived.
fn until_closed(port: u16) {
    const ESTABLISHED: &str = "01";
    let port = format!(":{port:04X}");
    let is_open = |line: &str| {
        let mut words = line.split_whitespace().skip(2);
        words.next().is_some_and(|remote| remote.ends_with(&port))
            && words.next() == Some(ESTABLISHED)
    };
    while fs::read_to_string("/proc/net/tcp").unwrap().lines().any(is_open) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_end_that_the_runtime_has_not_seen_yet_fails_no_call() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let reply = Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let (_server, world) = servers.block_on(async {
        let server = Server::always(reply).await;
        let world = World::usual(server.address).await;
        (server, world)
    });
    let calls = Builder::new_current_thread().enable_all().build().unwrap();
    calls.block_on(async {
        let client = world.client(world.tls());
        for _ in 0..20 {
            assert_eq!(post(&client).await, "hello");
            // Without a poll for events.
            until_closed(world.front.addr().port());
        }
    });
}

#[tokio::test]
async fn a_connection_serves_only_calls_with_the_same_tls() {
    let server = Server::always(OK).await;
    let world = World::usual(server.address).await;
    let pool = world.pool();
    for (tls, handshakes) in [
        (world.tls(), 1),
        (world.tls(), 1),
        (world.tls().server_name("127.0.0.1"), 2),
        (world.with_client(), 3),
        (world.tls(), 3),
    ] {
        assert_eq!(post(&client_over(&pool, tls)).await, "hello");
        assert_eq!(world.front.handshakes(), handshakes);
    }
    let error = client(&pool).get("http://service2/").await.unwrap_err();
    assert!(error.is_call(), "a connection without TLS is another one: {error}");
}

#[tokio::test]
async fn the_handshake_is_part_of_the_time_to_connect() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = Pool::fixed("service2", [silent.local_addr().unwrap()]);
    let short = Duration::from_millis(50);
    let client = client(&pool).with_options(options().connect_timeout(short).tls(Tls::default()));
    assert_eq!(why(&client.unwrap()).await, TryError::NotConnected(short));
}

#[tokio::test]
async fn a_stalled_upload_is_noticed_over_tls() {
    let unread = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::usual(unread.local_addr().unwrap()).await;
    let stall = Duration::from_millis(200);
    let stalls = options().stall_timeout(stall).tls(world.tls());
    let client = client(&world.pool()).with_options(stalls).unwrap();
    let error = client.post("http://service2/").body(vec![b'x'; 32 << 20]).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::Stalled(stall), "{error}");
}

#[tokio::test]
async fn one_instance_without_tls_of_two_fails_no_call() {
    let server = Server::always(OK).await;
    let world = World::usual(server.address).await;
    let (plain, task) = plain().await;
    for _ in 0..20 {
        let pool = Pool::fixed("service2", [plain, world.front.addr()]);
        let answer = client_over(&pool, world.tls()).request(request(Method::POST)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    task.abort();
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn the_version_is_the_one_on_which_both_sides_agree() {
    use super::http2::frames;
    let (http1, http2) = (Server::always(OK).await, frames::Server::always(frames::OK).await);
    let both = &["h2", "http/1.1"][..];
    for (protocol, offered, expected) in [
        (Protocol::Auto, both, Ok(Version::HTTP_2)),
        (Protocol::Auto, &["http/1.1"], Ok(Version::HTTP_11)),
        (Protocol::Auto, &[], Ok(Version::HTTP_11)),
        (Protocol::Http1, both, Ok(Version::HTTP_11)),
        (Protocol::Http2, both, Ok(Version::HTTP_2)),
        (Protocol::Http2, &["http/1.1"], Err(TryError::Tls(TlsError::NothingInCommon))),
        (Protocol::Http2, &[], Err(TryError::NoHttp2)),
    ] {
        let is_http2 = expected == Ok(Version::HTTP_2);
        let to = if is_http2 { http2.address } else { http1.address };
        let world = World::usual(to).await;
        world.front.offer(offered);
        let options = options().protocol(protocol).tls(world.tls());
        let client = client(&world.pool()).with_options(options).unwrap();
        for _ in 0..3 {
            match (client.request(request(Method::POST)).await, &expected) {
                (Ok(answer), Ok(version)) => {
                    assert_eq!(answer.version(), *version, "{protocol:?}, {offered:?}");
                    assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
                }
                (Err(error), Err(why)) => assert_eq!(error.tried()[0].why, *why, "{offered:?}"),
                (other, _) => panic!("{protocol:?}, {offered:?}: {other:?}"),
            }
        }
        assert!(expected.is_err() || world.front.handshakes() == 1, "{protocol:?}, {offered:?}");
    }
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn a_rejected_client_certificate_is_named_in_http2_too() {
    use super::http2::frames;
    let server = frames::Server::always(frames::OK).await;
    let world = World::start(server.address, &["127.0.0.1"], Validity::Now, true).await;
    world.front.offer(&["h2"]);
    for _ in 0..50 {
        let required = TryError::Tls(TlsError::ClientCertificateRequired);
        assert_eq!(world.why(world.tls()).await, required);
    }
    assert_eq!(post(&world.client(world.with_client())).await, "hello");
}
