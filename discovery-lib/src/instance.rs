//! One instance of a service, as plain data from Consul's catalog or DNS.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

/// The id of an instance: unique on its node (Consul's own scope), by default `<name>-<host>-<port>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(Arc<str>);

impl ServiceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for ServiceId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The health of an instance: the worst of its own checks and its node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All checks pass.
    Passing,
    /// At least one check warns, none is critical.
    Warning,
    /// At least one check is critical.
    Critical,
    /// In maintenance, by an operator or by its own graceful shutdown: never called, even if there is no other.
    Maintenance,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
        })
    }
}

/// The share of calls of an instance among the instances of its service, by status; the SRV weight of RFC 2782. An instance of weight 0 is
/// called only if there is no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Weights {
    /// While passing.
    pub passing: u16,
    /// While warning.
    pub warning: u16,
}

impl Weights {
    /// A weight for each status.
    #[must_use]
    pub const fn new(passing: u16, warning: u16) -> Self {
        Self { passing, warning }
    }
}

impl Default for Weights {
    /// Consul's default: 1 and 1.
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// The host of an instance: an address, or a name that is resolved at each new connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A host name.
    Name(Arc<str>),
}

impl From<&str> for Host {
    /// An IP address if the text is one, with or without brackets; else a name.
    fn from(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Name(text.into()), Self::Ip)
    }
}

impl fmt::Display for Host {
    /// As in a URL: an IPv6 address has brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An address of an instance beside its own, for callers that reach it in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaggedAddress {
    /// The host.
    pub host: Host,
    /// The port on that host.
    pub port: u16,
}

impl TaggedAddress {
    /// An address of this host and port.
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for TaggedAddress {
    /// `<host>:<port>`, as in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// One running instance of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Unique on its node.
    pub id: ServiceId,
    /// The name of the service.
    pub service: Arc<str>,
    /// The node of the agent at which it is registered; empty if the answer has none (DNS, fixed lists).
    pub node: Arc<str>,
    /// The datacenter of its node; none if the answer has none (DNS, fixed lists).
    pub datacenter: Option<Arc<str>>,
    /// The meta of its node; empty if the answer has none (DNS, fixed lists). Instances of one node share it.
    pub node_meta: Arc<BTreeMap<String, String>>,
    /// Its host.
    pub host: Host,
    /// Its port on that host.
    pub port: u16,
    /// Its other addresses, by name: `lan`, `wan`, or any other; empty if the answer has none (DNS, fixed lists). One without a port has that of
    /// the instance. Without the names under which Consul repeats the instance's own address (`lan_ipv4`, `wan_ipv4`, `lan_ipv6`, `wan_ipv6`).
    ///
    /// ```
    /// # fn address(instance: &discovery::Instance) -> String {
    /// match instance.tagged_addresses.get("wan") {
    ///     Some(wan) => wan.to_string(),
    ///     None => instance.to_string(),
    /// }
    /// # }
    /// ```
    pub tagged_addresses: BTreeMap<String, TaggedAddress>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its meta; `incarnation` is random per run.
    pub meta: BTreeMap<String, String>,
    /// Its share of calls.
    pub weights: Weights,
    /// Its health.
    pub status: Status,
}

impl Instance {
    /// An instance that is only an address: passing, of weight 1, with `host:port` as its id.
    pub fn at(service: impl Into<Arc<str>>, host: Host, port: u16) -> Self {
        Self {
            id: format!("{host}:{port}").into(),
            service: service.into(),
            node: "".into(),
            datacenter: None,
            node_meta: Arc::default(),
            host,
            port,
            tagged_addresses: BTreeMap::new(),
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weights: Weights::default(),
            status: Status::Passing,
        }
    }

    /// Replaces its status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Replaces its weights.
    #[must_use]
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// The weight of its present status.
    #[must_use]
    pub fn weight(&self) -> u16 {
        match self.status {
            Status::Warning => self.weights.warning,
            Status::Passing | Status::Critical | Status::Maintenance => self.weights.passing,
        }
    }

    /// Whether both are the same run at the same address, whatever else has changed, so that the statistics of one apply to the other. An
    /// instance that moved to another address is another one.
    #[must_use]
    pub fn is_same_copy(&self, other: &Self) -> bool {
        self.id == other.id
            && self.node == other.node
            && self.host == other.host
            && self.port == other.port
            && self.meta.get(INCARNATION) == other.meta.get(INCARNATION)
    }
}

/// The meta key whose value differs between the runs of an instance.
pub(crate) const INCARNATION: &str = "incarnation";

impl fmt::Display for Instance {
    /// `<host>:<port>`, as in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_displayed_as_in_a_url() {
        for (text, written) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("db.example", "db.example"),
        ] {
            assert_eq!(Host::from(text).to_string(), written);
        }
    }

    #[test]
    fn a_moved_instance_is_another_one() {
        let here = Instance::at("web", "10.0.0.1".into(), 80);
        let there = Instance { port: 81, ..here.clone() };
        let busier = Instance { weights: Weights { passing: 9, warning: 1 }, ..here.clone() };
        assert!(!here.is_same_copy(&there));
        assert!(here.is_same_copy(&busier));
    }
}
