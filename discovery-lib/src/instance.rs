//! One running copy of a service, as plain data: what Consul's catalog or DNS says of it.

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

/// How an instance stands: the worst of its own checks and its node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All checks pass.
    Passing,
    /// At least one check warns, none is critical.
    Warning,
    /// At least one check is critical.
    Critical,
    /// Taken out by hand or by its own orderly shutdown: never called, whatever else is left.
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

/// The share of an instance among its peers, by status; the SRV weight of RFC 2782. 0 means: only when nobody else is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weights {
    /// While passing.
    pub passing: u16,
    /// While warning.
    pub warning: u16,
}

impl Default for Weights {
    /// Consul's default: 1 and 1.
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// Where an instance is: an address, or a name that is resolved at each new connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A host name.
    Name(Arc<str>),
}

impl From<&str> for Host {
    /// An IP address where the text is one, with or without brackets; else a name.
    fn from(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Name(text.into()), Self::Ip)
    }
}

impl fmt::Display for Host {
    /// As it stands in a URL: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One running copy of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Unique on its node.
    pub id: ServiceId,
    /// The name that callers ask for.
    pub service: Arc<str>,
    /// The node whose agent it is registered at; empty where the answer does not say (DNS, fixed lists).
    pub node: Arc<str>,
    /// Where it is.
    pub host: Host,
    /// The port there.
    pub port: u16,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it says of itself; `incarnation` is random for each run.
    pub meta: BTreeMap<String, String>,
    /// Its share.
    pub weights: Weights,
    /// How it stands.
    pub status: Status,
}

impl Instance {
    /// An instance that is only an address: passing, of weight 1, with `host:port` as its id.
    pub fn at(service: impl Into<Arc<str>>, host: Host, port: u16) -> Self {
        Self {
            id: format!("{host}:{port}").into(),
            service: service.into(),
            node: "".into(),
            host,
            port,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weights: Weights::default(),
            status: Status::Passing,
        }
    }

    /// The weight that counts now: that of its status.
    pub fn weight(&self) -> u16 {
        match self.status {
            Status::Warning => self.weights.warning,
            Status::Passing | Status::Critical | Status::Maintenance => self.weights.passing,
        }
    }

    /// Whether both are the same running copy at the same place, whatever else has changed: what callers have learnt about one is true of
    /// the other. An instance that moved to another address is another one.
    pub fn is_same_copy(&self, other: &Self) -> bool {
        self.id == other.id
            && self.node == other.node
            && self.host == other.host
            && self.port == other.port
            && self.meta.get(INCARNATION) == other.meta.get(INCARNATION)
    }
}

/// The meta key that tells one run of an instance from the next.
pub(crate) const INCARNATION: &str = "incarnation";

impl fmt::Display for Instance {
    /// `<host>:<port>`, as it stands in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_in_a_url() {
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
