//! What an ambassador does: its routes and limits, as one value. It can be replaced while the ambassador runs.

mod diff;
mod file;
mod parse;

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use discovery::Query;

use crate::Error;
pub(crate) use diff::{Diff, Step};

/// The routes and limits of an ambassador, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// At least one, each with another [`Listen`].
    pub routes: Vec<Route>,
    /// Connections of all routes together. Each needs two file descriptors.
    pub connections_max: usize,
}

/// What listens, the service that it stands for, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Where programs connect.
    pub listen: Listen,
    /// Where their connections go.
    pub target: Target,
    /// Limits and timeouts.
    pub options: RouteOptions,
}

/// Where an ambassador listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP port. `[::]` also accepts IPv4.
    Tcp(SocketAddr),
    /// A unix stream socket.
    Unix(PathBuf),
    /// A UDP port.
    Udp(SocketAddr),
}

/// The service that a route stands for, and its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Bytes: each connection goes to an instance.
    Tcp(Query),
    /// Datagrams: those of one client go to one instance.
    Udp(Query),
    /// HTTP/1.1: each request goes to an instance.
    Http(Query),
    /// HTTP/1.1, to the service that the Host of each request names.
    HttpByHost,
}

/// Limits and timeouts of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteOptions {
    /// Connections at once. Default 8192. One more is closed at once with a reset.
    pub connections_max: usize,
    /// For a connection to an instance. Default 2 s, which tolerates a lost packet: the system sends it again after 1 s. Another instance is
    /// tried after it.
    pub connect_timeout: Duration,
    /// Without a byte in either direction for this long, a connection is reset. Default: no limit, as connections of databases are idle for
    /// hours. Peers that are gone are noticed by TCP keepalive.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may go on after its instance has left or its route was removed. Default: no limit.
    pub linger: Option<Duration>,
    /// Whether a client address always gets the same instance, while the instances are the same. Default: no.
    pub sticky: bool,
    /// For HTTP: whether `X-Forwarded-For`, `-Proto` and `-Host` of a request are kept, and the client is appended. Default: yes. Otherwise they
    /// are replaced: for clients that are not trusted.
    pub trusts_callers: bool,
    /// For `http:*`: the only services that requests may name. Default: all.
    pub allow: Option<Vec<String>>,
    /// The header that tells the instance the address of the client. Default: none.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A version of HAProxy's PROXY protocol: a header in front of a connection, with the addresses of the client.
/// <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Config {
    /// Connections of all routes together, unless told otherwise; fewer if the limit on open files requires that.
    pub const CONNECTIONS_MAX: usize = 65_536;

    /// These routes, with the default limits.
    ///
    /// # Errors
    /// There is none, or two have the same port or path ([`Error::is_config`]).
    pub fn new(routes: Vec<Route>) -> Result<Self, Error> {
        if routes.is_empty() {
            return Err(Error::config("there is no route: expected at least one, like 6379=redis"));
        }
        let mut seen = HashMap::new();
        for Route { listen, target, .. } in &routes {
            if let Some(other) = seen.insert(listen, target)
                && !listen.is_any_port()
            {
                return Err(Error::config(format!(
                    "{listen} is listed twice, for {other} and for {target}"
                )));
            }
        }
        Ok(Self { routes, connections_max: Self::CONNECTIONS_MAX })
    }
}

impl Route {
    /// A route with the default options.
    ///
    /// # Errors
    /// The target has another protocol than the listener ([`Error::is_config`]).
    pub fn new(listen: Listen, target: Target) -> Result<Self, Error> {
        let is_udp = matches!(listen, Listen::Udp(_));
        if is_udp != matches!(target, Target::Udp(_)) {
            return Err(Error::config(format!("{listen} can't stand for {target}")));
        }
        Ok(Self { listen, target, options: RouteOptions::default() })
    }
}

impl Route {
    /// Whether both can't listen at the same time.
    fn is_in_the_way_of(&self, other: &Self) -> bool {
        self.listen == other.listen && !self.listen.is_any_port()
    }
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            connect_timeout: Duration::from_secs(2),
            idle_timeout: None,
            linger: None,
            sticky: false,
            trusts_callers: true,
            allow: None,
            proxy_protocol: None,
        }
    }
}

impl Listen {
    /// Whether the system chooses the port.
    fn is_any_port(&self) -> bool {
        match self {
            Self::Tcp(at) | Self::Udp(at) => at.port() == 0,
            Self::Unix(_) => false,
        }
    }
}

impl Target {
    /// What is asked; none if each request names its service.
    #[must_use]
    pub fn query(&self) -> Option<&Query> {
        match self {
            Self::Tcp(query) | Self::Udp(query) | Self::Http(query) => Some(query),
            Self::HttpByHost => None,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "{at}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Udp(at) => write!(f, "udp:{at}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(query) | Self::Udp(query) => f.write_str(&query.service),
            Self::Http(query) => write!(f, "http:{}", query.service),
            Self::HttpByHost => f.write_str("http:*"),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.listen, self.target)
    }
}
