//! Takeovers: the next ambassador gets the sockets of the running one.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use ambassador::{Ambassador, Config, Error, Listen, Takeover};
use discovery::{Discovery, Settings, agent::AgentSettings};
use testkit::echo::{EchoServer, echo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket, UnixStream},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

/// The deadline of everything that a test waits for, generous for a slow machine.
const SOON: Duration = Duration::from_secs(60);

/// An ambassador and its socket for takeovers.
struct Running {
    ambassador: Ambassador,
    takeover: Takeover,
}

impl Running {
    async fn start(routes: &[&str], to: SocketAddr, path: &Path) -> Result<Self, Error> {
        let routes = routes.iter().map(|route| route.parse().unwrap()).collect();
        let config = Config::new(routes).unwrap();
        let source = format!("fixed:{to}").parse().unwrap();
        let nowhere = AgentSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let discovery = Discovery::new(Settings::new(nowhere).source(source)).unwrap();
        let mut takeover = Takeover::open(path).await?;
        let ambassador = Ambassador::take_over(&config, discovery, 2, &mut takeover).await?;
        Ok(Self { ambassador, takeover })
    }

    fn port(&self) -> u16 {
        self.ambassador
            .addresses()
            .iter()
            .find_map(|at| match at {
                Listen::Tcp(at) => Some(at.port()),
                Listen::Unix(_) | Listen::Udp(_) => None,
            })
            .unwrap()
    }

    /// Waits for a successor, and ends with the last connection.
    fn until_succeeded(mut self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            self.ambassador.successor(&self.takeover).await.unwrap();
            self.ambassador.retire().await;
        }))
    }
}

/// A temporary directory, with the paths of sockets in it.
struct SocketDir(tempfile::TempDir);

impl SocketDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn takeover(&self) -> PathBuf {
        self.path("takeover.sock")
    }
}

async fn server() -> EchoServer {
    EchoServer::start().await.unwrap()
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_takeovers_in_a_row_refuse_and_reset_no_connection() {
    let (dir, server) = (SocketDir::new(), server().await);
    let unix = dir.path("app.sock");
    let first = Running::start(
        &["127.0.0.1:0=app", &format!("{}=app", unix.display())],
        server.address(),
        &dir.takeover(),
    )
    .await
    .unwrap();
    let port = first.port();
    let routes = [format!("127.0.0.1:{port}=app"), format!("{}=app", unix.display())];
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (is_over, served, unix) = (Arc::clone(&is_over), Arc::clone(&served), unix.clone());
        clients.spawn(async move {
            while !is_over.load(Relaxed) {
                let result = if number == 0 {
                    echo(UnixStream::connect(&unix).await?, b"hello").await
                } else {
                    echo(connect(port).await?, b"hello").await
                };
                result?;
                served.fetch_add(1, Relaxed);
            }
            io::Result::Ok(())
        });
    }
    let mut kept = connect(port).await.unwrap();
    echo(&mut kept, b"before").await.unwrap();
    let mut last = first;
    let mut ended = Vec::new();
    for _ in 0..3 {
        let before = served.load(Relaxed);
        let retiring = last.until_succeeded();
        last = Running::start(&routes, server.address(), &dir.takeover()).await.unwrap();
        while served.load(Relaxed) < before + 200 {
            tokio::task::yield_now().await;
        }
        ended.push(retiring);
    }
    echo(&mut kept, b"after").await.unwrap();
    is_over.store(true, Relaxed);
    for result in timeout(SOON, clients.join_all()).await.unwrap() {
        result.unwrap();
    }
    assert!(!ended[0].is_finished(), "the first one still has a connection");
    drop(kept);
    for retired in ended {
        timeout(SOON, retired).await.unwrap().unwrap();
    }
    assert!(unix.exists(), "the path belongs to the last one");
    last.ambassador.drain(Duration::ZERO).await;
    drop(last.takeover);
    assert!(!unix.exists() && !dir.takeover().exists(), "the last one removes its paths");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_may_come_and_go_with_a_takeover() {
    let (dir, server) = (SocketDir::new(), server().await);
    let first =
        Running::start(&["127.0.0.1:0=app", "[::1]:0=app"], server.address(), &dir.takeover())
            .await
            .unwrap();
    let port = first.port();
    let Listen::Tcp(gone) = first.ambassador.addresses().remove(1) else { panic!("not TCP") };
    let retiring = first.until_succeeded();
    let routes = [format!("127.0.0.1:{port}=app"), "127.0.0.1:0=app".to_owned()];
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let second = Running::start(&routes, server.address(), &dir.takeover()).await.unwrap();
    timeout(SOON, retiring).await.unwrap().unwrap();
    echo(connect(port).await.unwrap(), b"kept").await.unwrap();
    let Listen::Tcp(new) = second.ambassador.addresses().remove(1) else { panic!("not TCP") };
    echo(connect(new.port()).await.unwrap(), b"new").await.unwrap();
    let refused = TcpStream::connect(gone).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_clients_continue_with_the_successor() {
    let dir = SocketDir::new();
    let instance = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = instance.local_addr().unwrap();
    let answering = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut datagram = [0; 16];
        loop {
            let (length, from) = instance.recv_from(&mut datagram).await.unwrap();
            instance.send_to(&datagram[..length], from).await.unwrap();
        }
    }));
    let first = Running::start(&["udp:127.0.0.1:0=dns"], at, &dir.takeover()).await.unwrap();
    let Listen::Udp(listen) = first.ambassador.addresses().remove(0) else { panic!("not UDP") };
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    client.connect(listen).await.unwrap();
    let exchange = async |bytes: &[u8]| {
        client.send(bytes).await.unwrap();
        let mut back = [0; 16];
        let length = timeout(SOON, client.recv(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back[..length], bytes);
    };
    exchange(b"first").await;
    let retiring = first.until_succeeded();
    let _second =
        Running::start(&[&format!("udp:{listen}=dns")], at, &dir.takeover()).await.unwrap();
    for number in 0..100_u8 {
        exchange(&[number]).await;
    }
    timeout(SOON, retiring).await.unwrap().unwrap();
    exchange(b"last").await;
    drop(answering);
}

/// The running ambassador still serves, and a real successor can still take over.
async fn still_serves(running: Running, server: &EchoServer, dir: &SocketDir) {
    let port = running.port();
    echo(connect(port).await.unwrap(), b"still").await.unwrap();
    let retiring = running.until_succeeded();
    let route = format!("127.0.0.1:{port}=app");
    let next = Running::start(&[&route], server.address(), &dir.takeover()).await.unwrap();
    timeout(SOON, retiring).await.unwrap().unwrap();
    echo(connect(next.port()).await.unwrap(), b"next").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_fails_changes_nothing() {
    let frame = |text: &str| {
        [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
    };
    for bytes in [
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        frame("{}"),
        frame(r#"{"hello":{"version":2}}"#),
        frame(r#"{"hello":{"version":1}}"#),
        [frame(r#"{"hello":{"version":1}}"#), frame("garbage")].concat(),
        frame(r#"{"taken":{"names":["takeover"]}}"#),
    ] {
        let (dir, server) = (SocketDir::new(), server().await);
        let running =
            Running::start(&["127.0.0.1:0=app"], server.address(), &dir.takeover()).await.unwrap();
        let (socket, sent) = (dir.takeover(), bytes.clone());
        // It connects before the waiting begins, so it comes first.
        let mut failing = UnixStream::connect(&socket).await.unwrap();
        failing.write_all(&sent).await.unwrap();
        drop(failing);
        still_serves(running, &server, &dir).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_refused_with_the_reason() {
    let (dir, server) = (SocketDir::new(), server().await);
    let running =
        Running::start(&["127.0.0.1:0=app"], server.address(), &dir.takeover()).await.unwrap();
    let _serving = running.until_succeeded();
    let mut stream = UnixStream::connect(dir.takeover()).await.unwrap();
    let text = r#"{"hello":{"version":2}}"#;
    let frame = [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    stream.write_all(&frame).await.unwrap();
    let length = timeout(SOON, stream.read_u32()).await.unwrap().unwrap();
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        r#"{"refused":{"why":"version 2 of the takeover is not supported: expected 1"}}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_whose_port_is_in_use_changes_nothing() {
    let (dir, server) = (SocketDir::new(), server().await);
    let running =
        Running::start(&["127.0.0.1:0=app"], server.address(), &dir.takeover()).await.unwrap();
    let port = running.port();
    let retiring = running.until_succeeded();
    let routes = [format!("127.0.0.1:{port}=app"), format!("{}=app", server.address())];
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let error = Running::start(&routes, server.address(), &dir.takeover()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is in use: stop the process that listens on it, or choose another port",
            server.address()
        )
    );
    echo(connect(port).await.unwrap(), b"still").await.unwrap();
    assert!(!retiring.is_finished());
}

#[tokio::test]
async fn the_socket_is_for_its_user_alone_and_a_file_in_its_place_stays() {
    let (dir, server) = (SocketDir::new(), server().await);
    let running =
        Running::start(&["127.0.0.1:0=app"], server.address(), &dir.takeover()).await.unwrap();
    let mode = std::fs::metadata(dir.takeover()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(running);
    assert!(!dir.takeover().exists());
    std::fs::write(dir.takeover(), "a file").unwrap();
    let error = Takeover::open(&dir.takeover()).await.unwrap_err().to_string();
    let shown = dir.takeover().display().to_string();
    assert_eq!(
        error.replace(&shown, "PATH"),
        "PATH exists: stop the process that listens on it, or choose another path"
    );
    assert_eq!(std::fs::read_to_string(dir.takeover()).unwrap(), "a file");
}
