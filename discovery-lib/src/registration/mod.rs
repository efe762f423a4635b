//! The registration of an instance in Consul, from the start of its program to the shutdown.
//!
//! `machine` decides, as a pure function of an event and the time; `task` executes its effects, the calls to the agent, and feeds their results
//! back; `life` is the order in which a server starts and shuts down; `check` is a health check, and `checks` those of one instance; `health` is
//! what the program reports for it; `details` is what can change while it runs.

mod advertise;
mod calls;
mod check;
mod checks;
mod details;
mod health;
mod life;
mod lifecycle;
mod limits;
pub(crate) mod machine;
mod once;
mod probe;
mod registered;
mod shutdown;
mod subject;
mod sweep;
mod task;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

pub use advertise::Advertise;
pub use check::{Check, CheckSchedule};
pub use details::Details;
#[cfg(feature = "serve")]
pub(crate) use life::FINISH_WITHIN;
pub use lifecycle::Lifecycle;
pub use machine::RegistrationState;
pub(crate) use once::register_once;
pub use registered::Registered;
pub use shutdown::{ShutdownSignal, Trigger, shutdown_signal};
pub use subject::near;

use checks::Checks;
use probe::Probe;

use crate::{Error, Host, ServiceId, TaggedAddress, Weights, agent::Address};

/// The registration of an instance: its service, its address, and what callers may know about it. Values are validated by
/// [`Discovery::register`](crate::Discovery::register).
///
/// A maintenance that an operator sets for the instance lasts until the operator ends it or the instance is deregistered, also across a crash
/// and a restart with the same id.
///
/// Source: <https://developer.hashicorp.com/consul/api-docs/agent/service#register-service>.
#[derive(Debug, Clone)]
pub struct Registration {
    pub(crate) name: String,
    pub(crate) local: SocketAddr,
    pub(crate) id: Option<ServiceId>,
    details: Details,
    pub(crate) advertise: Advertise,
    tagged_addresses: BTreeMap<String, TaggedAddress>,
    checks: Checks,
    deregister_after: Option<Duration>,
    probe: Option<Probe>,
}

impl Registration {
    /// An instance of the service `name` that listens at `local` (`listener.local_addr()`).
    pub fn new(name: impl Into<String>, local: SocketAddr) -> Self {
        Self {
            name: name.into(),
            local,
            id: None,
            details: Details::default(),
            advertise: Advertise::default(),
            tagged_addresses: BTreeMap::new(),
            checks: Checks::default(),
            deregister_after: None,
            probe: None,
        }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.details.tags.push(tag.into());
        self
    }

    /// Adds metadata: up to 63 pairs, a key of up to 128 bytes, a value of up to 512. The key `incarnation` is reserved: it identifies one run of
    /// the instance.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.meta.insert(key.into(), value.into());
        self
    }

    /// Sets the id, unique on the agent: a later run with the same id replaces this one. Default: `<name>-<host>-<port>`, with the host name of
    /// this machine and the published port.
    #[must_use]
    pub fn id(mut self, id: impl Into<ServiceId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets its share of the traffic of the service. Default: 1 while passing, 1 while in warning.
    #[must_use]
    pub fn weights(mut self, weights: Weights) -> Self {
        self.details.weights = weights;
        self
    }

    /// Sets the published address, or a part of it. Default: see [`Advertise`].
    #[must_use]
    pub fn advertise(mut self, advertise: Advertise) -> Self {
        self.advertise = advertise;
        self
    }

    /// Adds an address beside the published one, for callers that reach the instance in another way. Consul's own names are `lan` and `wan`;
    /// others are 1 to 128 letters, digits, - and _. Up to 16. Callers read them from [`Instance::tagged_addresses`]. Unlike the published
    /// address, it is not connected to before the registration. Source:
    /// <https://developer.hashicorp.com/consul/api-docs/agent/service#taggedaddresses>.
    ///
    /// ```no_run
    /// # fn run(local: std::net::SocketAddr) {
    /// let registration = discovery::Registration::new("web", local)
    ///     .tagged_address("wan", "web.example.com", 443);
    /// # }
    /// ```
    ///
    /// [`Instance::tagged_addresses`]: crate::Instance::tagged_addresses
    #[must_use]
    pub fn tagged_address(
        mut self,
        name: impl Into<String>,
        host: impl Into<Host>,
        port: u16,
    ) -> Self {
        self.tagged_addresses.insert(name.into(), TaggedAddress::new(host, port));
        self
    }

    /// Sets how Consul decides whether the instance is healthy. Default: [`Check::Ttl`].
    #[must_use]
    pub fn check(self, check: Check) -> Self {
        self.checks([check])
    }

    /// Sets several checks: up to 8, of which one may be [`Check::Ttl`]. The status of the instance is the worst of theirs.
    ///
    /// In Consul, the first has the id `service:<id of the instance>`, the others the same with `:2`, `:3` and so on; a TTL check counts as the
    /// first. Checks with such ids that an earlier run had in addition are deregistered. Others, which an operator added to the instance, stay.
    ///
    /// ```no_run
    /// use discovery::{Registration, registration::{Check, CheckSchedule}};
    ///
    /// # fn run(local: std::net::SocketAddr) {
    /// // What the program says of itself, and what the agent finds.
    /// let health = Check::http("/health", CheckSchedule::new());
    /// let registration = Registration::new("web", local).checks([Check::Ttl, health]);
    /// # }
    /// ```
    #[must_use]
    pub fn checks(mut self, checks: impl IntoIterator<Item = Check>) -> Self {
        self.checks = checks.into_iter().collect();
        self
    }

    /// Sets the time in which one of its checks is critical before an agent deregisters the instance: a minute to 30 days. Default: a minute.
    /// More keep a failed instance visible to operators.
    ///
    /// A minute is Consul's minimum, and it looks only every 30 s, so it may take that much longer. Source:
    /// <https://developer.hashicorp.com/consul/api-docs/agent/check#deregistercriticalserviceafter>.
    #[must_use]
    pub fn deregister_critical_after(mut self, after: Duration) -> Self {
        self.deregister_after = Some(after);
        self
    }

    /// Sets a readiness probe, for an instance in another process. It is called before each registration, and retried with backoff until it
    /// returns `Ok`. It replaces [`Registered::set_accepting`] and the connection to the published address.
    ///
    /// ```no_run
    /// use discovery::{Discovery, Registration};
    /// use tokio::net::TcpStream;
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let redis = "127.0.0.1:6379".parse()?;
    /// let registration = Registration::new("redis", redis)
    ///     .probe(move || async move { TcpStream::connect(redis).await.map(drop) });
    /// let registered = Discovery::from_env()?.register(registration)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn probe<P, A, E>(mut self, probe: P) -> Self
    where
        P: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.probe = Some(Probe::new(probe));
        self
    }

    /// The address at which the instance listens.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Checks what can be checked before the first request to this agent.
    ///
    /// # Errors
    /// A value is out of bounds, or no caller could reach the address.
    pub(crate) fn validate(&self, agent: &Address) -> Result<(), Error> {
        limits::validate(self)?;
        self.advertise.validate(self.local, agent)
    }

    /// The published port.
    pub(crate) fn port(&self) -> u16 {
        self.advertise.port.unwrap_or(self.local.port())
    }

    fn service_id(&self) -> ServiceId {
        self.id.clone().unwrap_or_else(|| {
            let uname = rustix::system::uname();
            let host = uname.nodename().to_string_lossy();
            format!("{}-{host}-{}", self.name, self.port()).into()
        })
    }
}
