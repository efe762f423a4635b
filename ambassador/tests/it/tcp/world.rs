//! An ambassador with one TCP route, instances, and clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ambassador::{Ambassador, Config, Listen, Route, RouteOptions};
use discovery::{Discovery, Pool, Settings, agent::AgentSettings};
use discovery_agent::Agent;
use socket2::SockRef;
use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The deadline of everything that a test waits for, generous for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The result, which must come soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.expect("it must come soon")
}

/// An instance: sends its name at once, then all that it receives, and closes when the client has. Its port and its connections are closed
/// when it is dropped.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) at: SocketAddr,
    leave: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Echo {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let leave = CancellationToken::new();
        let leaving = leave.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let mut stream = tokio::select! {
                    biased;
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = leaving.cancelled() => break,
                };
                connections.spawn(async move {
                    stream.write_all(name.as_bytes()).await?;
                    let (mut reading, mut writing) = stream.split();
                    tokio::io::copy(&mut reading, &mut writing).await
                });
            }
            drop(listener);
            connections.join_all().await;
        });
        Self { at, leave, task: AbortOnDropHandle::new(task) }
    }

    /// Accepts no more, and finishes its connections.
    pub(crate) async fn leave(self) {
        self.leave.cancel();
        soon(self.task).await.unwrap();
    }
}

/// Names of instances have one byte.
pub(crate) async fn name(client: &mut TcpStream) -> u8 {
    soon(client.read_u8()).await.unwrap()
}

/// A running ambassador, and where its route listens.
pub(crate) struct World {
    pub(crate) ambassador: Ambassador,
    pub(crate) at: SocketAddr,
}

impl World {
    /// With one route to these instances.
    pub(crate) async fn fixed(instances: &[SocketAddr]) -> Self {
        Self::with(fixed(instances), |_| {}).await
    }

    /// With one route, and other options.
    pub(crate) async fn with(discovery: Discovery, set: impl FnOnce(&mut RouteOptions)) -> Self {
        let mut route = route("127.0.0.1:0=echo");
        set(&mut route.options);
        Self::start(&Config::new(vec![route]).unwrap(), discovery).await
    }

    pub(crate) async fn start(config: &Config, discovery: Discovery) -> Self {
        let ambassador = Ambassador::start(config, discovery, 2).unwrap();
        soon(ambassador.ready()).await;
        let Listen::Tcp(at) = ambassador.addresses()[0] else { panic!("not TCP") };
        Self { ambassador, at }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        connect(self.at).await
    }
}

pub(crate) fn route(text: &str) -> Route {
    text.parse().unwrap()
}

pub(crate) async fn connect(at: SocketAddr) -> TcpStream {
    soon(TcpStream::connect(at)).await.unwrap()
}

/// Finds these instances.
pub(crate) fn fixed(instances: &[SocketAddr]) -> Discovery {
    let list: Vec<String> = instances.iter().map(SocketAddr::to_string).collect();
    let nowhere = AgentSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let source = format!("fixed:{}", list.join(",")).parse().unwrap();
    Discovery::new(Settings::new(nowhere).source(source)).unwrap()
}

/// Finds what is registered at an agent.
pub(crate) fn catalog(agent: &Agent) -> Discovery {
    Discovery::new(Settings::new(AgentSettings::new(agent.http_addr()))).unwrap()
}

pub(crate) async fn register(agent: &Agent, id: &str, at: SocketAddr) {
    let (ip, port) = (at.ip(), at.port());
    let body = format!(r#"{{"ID": "{id}", "Name": "echo", "Address": "{ip}", "Port": {port}}}"#);
    put(agent, Request::put("/v1/agent/service/register").body(body)).await;
}

/// Sets an instance to maintenance, as one that leaves does.
pub(crate) async fn maintain(agent: &Agent, id: &str) {
    put(agent, Request::put(format!("/v1/agent/service/maintenance/{id}?enable=true"))).await;
}

pub(crate) async fn deregister(agent: &Agent, id: &str) {
    put(agent, Request::put(format!("/v1/agent/service/deregister/{id}"))).await;
}

async fn put(agent: &Agent, request: Request) {
    assert_eq!(request.send(agent.http_addr()).await.unwrap().status, 200);
}

/// Waits until no more connections go to this port.
pub(crate) async fn left(pool: &Pool, port: u16) {
    let is_member = || {
        let members = pool.explain().instances.into_iter();
        members.filter(|it| it.member.is_some()).any(|it| it.instance.port == port)
    };
    soon(async {
        while is_member() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A port that refuses connections.
pub(crate) fn refusing() -> SocketAddr {
    let [port] = testkit::ports::free().unwrap();
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Closes a connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Asserts that the other end resets this connection, after any bytes that it has sent.
#[track_caller]
pub(crate) fn assert_reset(ended: std::io::Result<usize>) {
    let kind = ended.expect_err("it is reset, not closed").kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
}

/// How a new connection ends. One that is reset at once may fail before it is made.
pub(crate) async fn end_of_new(at: SocketAddr) -> std::io::Result<usize> {
    let mut client = soon(TcpStream::connect(at)).await?;
    read_to_end(&mut client).await
}

/// Reads to the end of a connection, which must come soon.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> std::io::Result<usize> {
    soon(stream.read_to_end(&mut Vec::new())).await
}
