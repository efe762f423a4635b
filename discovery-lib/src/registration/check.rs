//! A health check of an instance: what Consul watches to decide whether callers may use it.
//! Source: <https://developer.hashicorp.com/consul/docs/services/usage/checks>.

use std::{fmt, time::Duration};

use consul_wire::agent::CheckDefinition;

use super::machine::{HEARTBEAT_EVERY, TTL};
use crate::ServiceId;

/// How Consul decides whether an instance is healthy.
///
/// Whatever the check is, an instance is registered as passing, right after a connection to its address was accepted. Its own address is used
/// for HTTP, TCP and gRPC: the published one, or the local one where the instance is published at the address of the agent's node. An agent
/// deregisters an instance whose check was critical for a minute ([`Registration::deregister_critical_after`]); it is registered again for as
/// long as its program accepts connections. An instance may have several ([`Registration::checks`]).
///
/// [`Registration::checks`]: crate::Registration::checks
/// [`Registration::deregister_critical_after`]: crate::Registration::deregister_critical_after
///
/// ```no_run
/// use discovery::{Discovery, Registration, registration::{Check, CheckSchedule}};
/// use std::time::Duration;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let schedule = CheckSchedule::new().interval(Duration::from_secs(10));
/// let registration = Registration::new("web", "10.0.0.1:80".parse()?).check(Check::http("/health", schedule));
/// let registered = Discovery::from_env()?.register(registration)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Check {
    /// The program sends a heartbeat every 5 s; the check is critical after 15 s without one. The agent needs no access to the instance, and
    /// a program that hangs becomes critical. The only check with heartbeats.
    #[default]
    Ttl,
    /// The agent sends a GET: 2xx is passing, 429 warning, anything else critical.
    #[non_exhaustive]
    Http {
        /// An absolute path, for the address of the instance; or a URL with `http` or `https`.
        target: String,
        /// When the agent sends it.
        schedule: CheckSchedule,
    },
    /// The agent opens a connection: passing if it succeeds.
    #[non_exhaustive]
    Tcp {
        /// When the agent connects.
        schedule: CheckSchedule,
    },
    /// The agent calls the gRPC health protocol, without TLS: passing if it answers SERVING.
    #[non_exhaustive]
    Grpc {
        /// The name of the gRPC service; empty for the whole server.
        service: String,
        /// When the agent calls it.
        schedule: CheckSchedule,
    },
    /// The status of another instance at the same agent.
    #[non_exhaustive]
    Alias {
        /// The id of that instance.
        service: ServiceId,
    },
    /// The status of a node.
    #[non_exhaustive]
    AliasNode {
        /// The name of that node.
        node: String,
    },
    /// No check: always passing while its node is. A program that ends without deregistration leaves its instance in the catalog. The ACL token
    /// needs `agent:read`, because the registration is looked up in the catalog by the name of the agent's node.
    None,
}

/// When an agent polls an instance, and how many results in a row change the status of the check.
/// Source: <https://developer.hashicorp.com/consul/api-docs/agent/check#successbeforepassing>.
///
/// ```
/// use discovery::registration::{Check, CheckSchedule};
/// use std::time::Duration;
///
/// // A slow answer or two are no reason to send callers elsewhere.
/// let schedule = CheckSchedule::new().interval(Duration::from_secs(2)).failures_before_critical(3);
/// let check = Check::http("/health", schedule);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSchedule {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) success_before_passing: u16,
    pub(super) failures_before_critical: u16,
}

impl CheckSchedule {
    /// Every 5 s, with a timeout of 1 s; each result changes the status.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            success_before_passing: 1,
            failures_before_critical: 1,
        }
    }

    /// The time from one poll to the next: 1 s to 30 s, so that one failed poll is not yet a minute in critical. A shorter one finds
    /// failures sooner and costs more requests.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The time after which a poll without an answer fails: 10 ms up to the interval.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The results in a row after which a critical check becomes passing, or warning: 1 to 100. A warning counts too. More keep an instance
    /// that fails now and then away from callers, and let them wait longer for one that has recovered.
    ///
    /// As in Consul, the first result after a registration changes the status at once.
    #[must_use]
    pub const fn success_before_passing(mut self, results: u16) -> Self {
        self.success_before_passing = results;
        self
    }

    /// The failures in a row after which the check becomes critical: 1 to 100. More tolerate a poll that fails by chance; callers use an
    /// instance that is gone for as many intervals longer.
    ///
    /// As in Consul, the first result after a registration changes the status at once, also one after [`Lifecycle::update`].
    ///
    /// [`Lifecycle::update`]: crate::Lifecycle::update
    #[must_use]
    pub const fn failures_before_critical(mut self, results: u16) -> Self {
        self.failures_before_critical = results;
        self
    }
}

impl Default for CheckSchedule {
    fn default() -> Self {
        Self::new()
    }
}

impl Check {
    /// The agent sends a GET for `target`: an absolute path as `/health`, or a URL.
    pub fn http(target: impl Into<String>, schedule: CheckSchedule) -> Self {
        Self::Http { target: target.into(), schedule }
    }

    /// The agent opens a connection to the instance.
    #[must_use]
    pub fn tcp(schedule: CheckSchedule) -> Self {
        Self::Tcp { schedule }
    }

    /// The agent calls the gRPC health protocol for `service`; empty for the whole server.
    pub fn grpc(service: impl Into<String>, schedule: CheckSchedule) -> Self {
        Self::Grpc { service: service.into(), schedule }
    }

    /// The status of the instance with the id `service` at the same agent.
    pub fn alias(service: impl Into<ServiceId>) -> Self {
        Self::Alias { service: service.into() }
    }

    /// The status of the node `node`.
    pub fn alias_node(node: impl Into<String>) -> Self {
        Self::AliasNode { node: node.into() }
    }

    pub(super) fn schedule(&self) -> Option<CheckSchedule> {
        match self {
            Self::Http { schedule, .. } | Self::Tcp { schedule } | Self::Grpc { schedule, .. } => {
                Some(*schedule)
            }
            Self::Ttl | Self::Alias { .. } | Self::AliasNode { .. } | Self::None => None,
        }
    }

    /// Its definition for an instance that the agent reaches at `address`; none for no check.
    pub(super) fn definition(&self, address: impl fmt::Display) -> Option<CheckDefinition> {
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        let times =
            |schedule: &CheckSchedule| (millis(schedule.interval), millis(schedule.timeout));
        Some(match self {
            Self::Ttl => CheckDefinition::Ttl { ttl: format!("{}s", TTL.as_secs()) },
            Self::Http { target, schedule } => {
                let (interval, timeout) = times(schedule);
                let is_path = target.starts_with('/');
                let http =
                    if is_path { format!("http://{address}{target}") } else { target.clone() };
                CheckDefinition::Http { http, interval, timeout }
            }
            Self::Tcp { schedule } => {
                let (interval, timeout) = times(schedule);
                CheckDefinition::Tcp { tcp: address.to_string(), interval, timeout }
            }
            Self::Grpc { service, schedule } => {
                let (interval, timeout) = times(schedule);
                let whole_server = service.is_empty();
                let grpc =
                    if whole_server { address.to_string() } else { format!("{address}/{service}") };
                CheckDefinition::Grpc { grpc, interval, timeout }
            }
            Self::Alias { service } => {
                CheckDefinition::Alias { alias_service: service.to_string() }
            }
            Self::AliasNode { node } => CheckDefinition::AliasNode { alias_node: node.clone() },
            Self::None => return None,
        })
    }
}

/// The display name of the check, as Consul's UI shows it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Ttl => {
                return write!(f, "TTL heartbeat, every {} s", HEARTBEAT_EVERY.as_secs());
            }
            Self::Alias { service } => return write!(f, "alias of the instance {service}"),
            Self::AliasNode { node } => return write!(f, "alias of the node {node}"),
            Self::None => return f.write_str("no check"),
            Self::Http { .. } => "HTTP",
            Self::Tcp { .. } => "TCP",
            Self::Grpc { .. } => "gRPC",
        };
        let interval = self.schedule().map_or(Duration::ZERO, |it| it.interval);
        write!(f, "{kind} check, every {interval:?}")
    }
}
