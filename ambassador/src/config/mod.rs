//! What an ambassador does: its routes and limits, as one value. It can be replaced while the ambassador runs.

mod diff;
mod file;
mod options;
mod parse;

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf};

use discovery::Query;

use crate::Error;
pub(crate) use diff::{Diff, Step};
pub use options::{HttpTimeouts, ProxyProtocol, RouteOptions};

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

impl Config {
    /// The default limit on connections of all routes together; fewer if the limit on open files requires that.
    pub const CONNECTIONS_MAX: usize = 65_536;

    /// These routes, with the default limits.
    ///
    /// # Errors
    /// There is none, two have the same port or path, or an option is out of its bounds ([`Error::is_config`]).
    pub fn new(routes: Vec<Route>) -> Result<Self, Error> {
        if routes.is_empty() {
            return Err(Error::config("there is no route: expected at least one, like 6379=redis"));
        }
        let mut seen = HashMap::new();
        for Route { listen, target, options } in &routes {
            options.check()?;
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
    fn conflicts_with(&self, other: &Self) -> bool {
        self.listen == other.listen && !self.listen.is_any_port()
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

    /// Whether it is HTTP, with or without a fixed service.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self, Self::Http(_) | Self::HttpByHost)
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
