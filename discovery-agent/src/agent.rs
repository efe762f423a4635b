//! The public handle: it starts and stops an agent, gives its addresses, and injects faults for tests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use datagrams::Datagrams;
use http::StatusCode;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tracing::{debug, warn};

use crate::{
    Error, checks,
    dns::{self, Resolver},
    engine::{Engine, Stage},
    fault::{FaultMode, Faults},
    http::{Api, Hosts, serve},
    listen,
    persist::Store,
    state::{Identity, State},
    supervise::{supervise, watch_over},
};

/// The time limit for tasks to end when an agent stops. The remaining ones are aborted.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A running agent. Dropping it aborts all its tasks and closes its sockets; [`Agent::stop`] shuts it down gracefully.
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
    faults: Arc<Faults>,
    /// The HTTP server. It ends when the agent stops.
    server: JoinSet<()>,
    /// The writer of the data file, with a data directory only. It ends after the server.
    keeper: JoinSet<()>,
    /// Tasks that are aborted at the end.
    endless: JoinSet<()>,
}

/// The configuration of an agent, before it starts. See [`Agent::builder`].
#[derive(Debug, Clone)]
#[must_use = "it starts nothing before `start`"]
pub struct Builder {
    http_listen: SocketAddr,
    dns_listen: SocketAddr,
    data_dir: Option<PathBuf>,
    node_name: Option<String>,
    datacenter: String,
    allowed_hosts: Vec<String>,
}

impl Agent {
    /// Starts an agent on free ports of the loopback address, in memory.
    ///
    /// # Errors
    ///
    /// No free port was found.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// The configuration of an agent; by default it uses free ports of the loopback address and keeps its state in memory.
    pub fn builder() -> Builder {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Builder {
            http_listen: anywhere,
            dns_listen: anywhere,
            data_dir: None,
            node_name: None,
            datacenter: "dc1".to_owned(),
            allowed_hosts: Vec::new(),
        }
    }

    /// The address of the HTTP API.
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The address of DNS, over UDP and TCP.
    pub const fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    /// The address of the HTTP API as a URL without a path, which is a valid `CONSUL_HTTP_ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    /// Returns once a task of the agent failed, which is a bug of this crate; the rest of the agent ends too. Never returns otherwise. Cancel safe.
    pub async fn failed(&self) -> Error {
        Error::failed(self.engine.failure().await)
    }

    /// Shuts down gracefully: answers blocking queries, lets connections finish, and writes the data file. Takes 5 s at most.
    pub async fn stop(mut self) {
        let stopped = async {
            self.engine.enter(Stage::Stopping);
            while self.server.join_next().await.is_some() {}
            self.engine.enter(Stage::Closing);
            while self.keeper.join_next().await.is_some() {}
        };
        if timeout(STOP_MAX, stopped).await.is_err() {
            warn!("the agent did not stop in time; its remaining tasks were aborted");
        }
        self.endless.shutdown().await;
    }
}

/// Fault injection and counters, for the tests of clients.
impl Agent {
    /// Simulates a restart without data: nothing is registered, indexes start low, HTTP connections are closed.
    pub fn forget_everything(&self) {
        self.engine.clear();
        self.api.clear();
        self.faults.cut_connections();
    }

    /// Stops answering: connections and requests are accepted and not answered. DNS queries over UDP are lost.
    pub fn freeze(&self) {
        self.faults.set(FaultMode::Frozen);
    }

    /// Ends [`Agent::freeze`]: pending requests are answered now.
    pub fn thaw(&self) {
        self.faults.set(FaultMode::Off);
    }

    /// Answers every HTTP request with this status, including pending blocking queries, and every DNS query with SERVFAIL.
    pub fn fail_with(&self, status: StatusCode) {
        self.faults.set(FaultMode::Failing(status));
    }

    /// Ends [`Agent::fail_with`].
    pub fn heal(&self) {
        self.faults.set(FaultMode::Off);
    }

    /// The number of HTTP requests received so far.
    pub fn requests(&self) -> u64 {
        self.engine.requests()
    }

    /// The number of DNS queries received so far.
    pub fn dns_queries(&self) -> u64 {
        self.engine.dns_queries()
    }

    /// The number of blocking queries that wait for a change.
    pub fn waiting(&self) -> usize {
        self.engine.waiting()
    }
}

impl Builder {
    /// The address of the HTTP API; by default a free port of 127.0.0.1. There is no authentication: on an address other than loopback, every host that reaches it can use the API.
    pub const fn http_listen(mut self, addr: SocketAddr) -> Self {
        self.http_listen = addr;
        self
    }

    /// The address of DNS, over UDP and TCP; by default a free port of 127.0.0.1.
    pub const fn dns_listen(mut self, addr: SocketAddr) -> Self {
        self.dns_listen = addr;
        self
    }

    /// Stores registrations in this directory, so that they survive a restart. It is created if it does not exist. By default nothing is stored.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// The name of the node. By default the host name of the machine on Linux, and `localhost` elsewhere.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// The datacenter's name; `dc1` by default.
    pub fn datacenter(mut self, name: impl Into<String>) -> Self {
        self.datacenter = name.into();
        self
    }

    /// Serves HTTP requests for this host name too. By default only those for IP addresses and `localhost` are served, which prevents DNS
    /// rebinding: a web page cannot use the API through a name of its own.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Starts the agent. It answers as soon as this returns.
    ///
    /// # Errors
    ///
    /// An address is in use ([`Error::is_address_in_use`]) or does not belong to this machine; the data directory cannot be used ([`Error::is_data`]).
    pub async fn start(self) -> Result<Agent, Error> {
        let mut store = match &self.data_dir {
            Some(dir) => Some(Store::open(dir).await?),
            None => None,
        };
        let identity = self.identity(store.as_ref().and_then(Store::node_id));
        let state = match &mut store {
            Some(store) => store.restore(&identity),
            None => State::new(&identity),
        };
        let http = listen::tcp("HTTP", self.http_listen).await?;
        let (udp, tcp) = listen::udp_and_tcp("DNS", self.dns_listen).await?;
        let http_addr = listen::local_addr("HTTP", self.http_listen, http.local_addr())?;
        let dns_addr = listen::local_addr("DNS", self.dns_listen, udp.socket().local_addr())?;
        let engine = Arc::new(Engine::new(identity, state, store.is_some()));
        let api = Arc::new(Api::new(Arc::clone(&engine), Hosts::new(&self.allowed_hosts)));
        let mut agent = Agent {
            http_addr,
            dns_addr,
            api,
            engine,
            faults: Arc::new(Faults::new()),
            server: JoinSet::new(),
            keeper: JoinSet::new(),
            endless: JoinSet::new(),
        };
        agent.spawn(http, udp, tcp, store);
        debug!(http = %http_addr, dns = %dns_addr, "agent started");
        warn_if_open(http_addr);
        Ok(agent)
    }

    fn identity(&self, node_id: Option<&str>) -> Identity {
        Identity {
            node_id: node_id.map_or_else(uuid, str::to_owned),
            node_name: self.node_name.clone().unwrap_or_else(machine_name),
            datacenter: self.datacenter.clone(),
            address: reachable(self.http_listen),
        }
    }
}

impl Agent {
    fn spawn(&mut self, http: TcpListener, udp: Datagrams, tcp: TcpListener, store: Option<Store>) {
        let engine = || Arc::clone(&self.engine);
        let server = serve(http, Arc::clone(&self.api), Arc::clone(&self.faults));
        self.server.spawn(supervise("HTTP server", engine(), server));
        if let Some(store) = store {
            let engine = engine();
            // It ends last, also after a failure.
            self.keeper.spawn(async move {
                watch_over("data file", &engine, store.keep(Arc::clone(&engine))).await;
            });
        }
        let resolver = Arc::new(Resolver::new(engine(), Arc::clone(&self.faults)));
        let udp = dns::serve_udp(udp, Arc::clone(&resolver));
        self.endless.spawn(supervise("DNS over UDP", engine(), udp));
        let tcp = dns::serve_tcp(tcp, resolver);
        self.endless.spawn(supervise("DNS over TCP", engine(), tcp));
        self.endless.spawn(supervise("check runner", engine(), checks::run(engine())));
        let timer = engine();
        let time = async move { timer.keep_time().await };
        self.endless.spawn(supervise("timer", engine(), time));
    }
}

/// There is no authentication, so only loopback is safe.
fn warn_if_open(http: SocketAddr) {
    if !http.ip().to_canonical().is_loopback() {
        warn!(%http, "the HTTP API is not on loopback: every host that reaches it can register and deregister services");
    }
}

/// The address of the node: where it listens, or loopback on a wildcard address.
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

/// The host name of the machine. It is read from Linux's `/proc`; elsewhere it is `localhost`.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use testkit::http::Request;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_agent_with_its_reason() {
        let mut agent = Agent::start().await.unwrap();
        let engine = Arc::clone(&agent.engine);
        agent.endless.spawn(supervise("test", engine, async { panic!("on purpose") }));
        let err = agent.failed().await;
        assert_eq!(err.to_string(), "the agent ended because its test failed: on purpose");
        while agent.endless.join_next().await.is_some() {}
        while agent.server.join_next().await.is_some() {}
        Request::get("/v1/status/leader").send(agent.http_addr()).await.unwrap_err();
    }

    #[tokio::test]
    async fn pending_changes_are_written_when_a_task_fails() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut agent = Agent::builder().data_dir(dir.path()).start().await.unwrap();
        let to = agent.http_addr();
        let body = "{\"Name\":\"w\",\"Check\":{\"TTL\":\"1h\"}}";
        let register = Request::put("/v1/agent/service/register").body(body);
        assert_eq!(register.send(to).await.unwrap().status, 200);
        let heartbeat = Request::put("/v1/agent/check/pass/service:w?note=well");
        assert_eq!(heartbeat.send(to).await.unwrap().status, 200);
        agent.engine.fail("on purpose".to_owned());
        while agent.keeper.join_next().await.is_some() {}
        let saved = std::fs::read_to_string(dir.path().join("registrations.json")).unwrap();
        assert!(saved.contains("well"), "{saved}");
    }
}
