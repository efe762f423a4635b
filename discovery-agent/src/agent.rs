//! The agent as its owner sees it: started, asked where it listens, stopped; and for tests, made to misbehave.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
    time::timeout,
};
use tracing::warn;

use crate::{
    Error, checks, dns,
    engine::{Engine, Mood},
    http::{Api, serve},
    listen,
    state::{Identity, State},
};

/// A stopping agent waits so long for its tasks; what is left then is ended.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A running agent. Dropping it ends everything at once, stopping it in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), discovery_agent::Error> {
/// let agent = discovery_agent::Agent::start().await?;
/// println!("CONSUL_HTTP_ADDR={}", agent.url());
/// agent.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Agent {
    http_addr: SocketAddr,
    dns_addr: SocketAddr,
    api: Arc<Api>,
    engine: Arc<Engine>,
    /// Those that stop by themselves when told to.
    orderly: JoinSet<()>,
    /// Those that only end.
    endless: JoinSet<()>,
}

/// What an agent is to be, before it starts.
#[derive(Debug, Clone)]
pub struct Builder {
    http_listen: SocketAddr,
    dns_listen: SocketAddr,
    node_name: Option<String>,
    datacenter: String,
}

impl Agent {
    /// Starts an agent on free ports of the loopback address, in memory.
    ///
    /// # Errors
    ///
    /// No port could be had.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// An agent on free ports of the loopback address and in memory, unless told otherwise.
    pub fn builder() -> Builder {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Builder {
            http_listen: anywhere,
            dns_listen: anywhere,
            node_name: None,
            datacenter: "dc1".to_owned(),
        }
    }

    /// Where the HTTP API is.
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where DNS is, by UDP and TCP.
    pub const fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    /// The HTTP API's address as a URL without a path, good for `CONSUL_HTTP_ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    /// Ends in order: answers who waits, lets connections finish, keeps on disk what belongs there. Takes a few seconds at most.
    pub async fn stop(mut self) {
        self.engine.stop();
        let stopped = async { while self.orderly.join_next().await.is_some() {} };
        if timeout(STOP_MAX, stopped).await.is_err() {
            warn!("the agent did not stop in time; what was left was ended");
        }
        self.endless.shutdown().await;
    }
}

/// For the tests of those who talk to an agent.
impl Agent {
    /// Becomes an agent that was restarted without its data: nothing is registered, indexes start low, connections are gone.
    pub fn forget_everything(&self) {
        self.engine.forget();
        self.api.forget();
    }

    /// From now on takes connections and requests, and answers none. DNS questions by UDP are lost.
    pub fn freeze(&self) {
        self.engine.set_mood(Mood::Frozen);
    }

    /// Ends [`Agent::freeze`]: what was asked meanwhile is answered now.
    pub fn thaw(&self) {
        self.engine.set_mood(Mood::Well);
    }

    /// From now on answers every HTTP request with this status, also those that wait, and every DNS question with SERVFAIL.
    pub fn fail_with(&self, status: StatusCode) {
        self.engine.set_mood(Mood::Failing(status));
    }

    /// Ends [`Agent::fail_with`].
    pub fn heal(&self) {
        self.engine.set_mood(Mood::Well);
    }

    /// How many HTTP requests came in so far.
    pub fn requests(&self) -> u64 {
        self.engine.requests()
    }

    /// How many DNS questions came in so far.
    pub fn questions(&self) -> u64 {
        self.engine.questions()
    }

    /// How many HTTP requests wait for something to change.
    pub fn waiting(&self) -> usize {
        self.engine.waiting()
    }
}

impl Builder {
    /// Where the HTTP API listens. Anything but loopback opens it to everybody who can reach it: there is no authentication.
    #[must_use]
    pub const fn http_listen(mut self, addr: SocketAddr) -> Self {
        self.http_listen = addr;
        self
    }

    /// Where DNS listens, by UDP and TCP.
    #[must_use]
    pub const fn dns_listen(mut self, addr: SocketAddr) -> Self {
        self.dns_listen = addr;
        self
    }

    /// The node's name; the machine's by default.
    #[must_use]
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// The datacenter's name; `dc1` by default.
    #[must_use]
    pub fn datacenter(mut self, name: impl Into<String>) -> Self {
        self.datacenter = name.into();
        self
    }

    /// Starts the agent. When this returns, it answers.
    ///
    /// # Errors
    ///
    /// An address is taken ([`Error::is_address_in_use`]) or not of this machine.
    pub async fn start(self) -> Result<Agent, Error> {
        let identity = Identity {
            node_id: uuid(),
            node_name: self.node_name.unwrap_or_else(machine_name),
            datacenter: self.datacenter,
            address: reachable(self.http_listen),
        };
        let state = State::new(&identity);
        let http = listen::tcp("HTTP", self.http_listen).await?;
        let (udp, tcp) = listen::udp_and_tcp("DNS", self.dns_listen).await?;
        let http_addr = listen::local_addr("HTTP", self.http_listen, http.local_addr())?;
        let dns_addr = listen::local_addr("DNS", self.dns_listen, udp.local_addr())?;
        let engine = Arc::new(Engine::new(identity, state));
        let api = Arc::new(Api::new(Arc::clone(&engine)));
        let (orderly, endless) = spawn(&engine, &api, (http, udp, tcp));
        Ok(Agent { http_addr, dns_addr, api, engine, orderly, endless })
    }
}

fn spawn(
    engine: &Arc<Engine>,
    api: &Arc<Api>,
    (http, udp, tcp): (TcpListener, UdpSocket, TcpListener),
) -> (JoinSet<()>, JoinSet<()>) {
    let (mut orderly, mut endless) = (JoinSet::new(), JoinSet::new());
    orderly.spawn(serve(http, Arc::clone(api)));
    endless.spawn(dns::serve_udp(udp, Arc::clone(engine)));
    endless.spawn(dns::serve_tcp(tcp, Arc::clone(engine)));
    endless.spawn(checks::run(Arc::clone(engine)));
    let timekeeper = Arc::clone(engine);
    endless.spawn(async move { timekeeper.keep_time().await });
    (orderly, endless)
}

/// The address under which the node is known: where it listens, or loopback when that is everywhere.
fn reachable(listen: SocketAddr) -> String {
    let ip = if listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen.ip() };
    ip.to_string()
}

/// A random UUID.
fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The machine's name, where it can be read without a system call of its own.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
