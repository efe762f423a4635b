//! The entry point of a program: its connection to an agent, its watches, pools and registrations.

use std::sync::Arc;

use crate::{
    Client, DiscoveryBuilder, Error, Pool, Query, Random, Registered, Registration, ServiceId,
    Settings, Snapshot, Watch, agent::AgentClient, lifetime::LINGER, metrics::Metrics, pool::Pools,
    registration::register_once, watch::Watches,
};

/// Service discovery through one Consul agent. Cheap to clone; clones share connections. There is no global state: two of them in one
/// process share nothing.
///
/// ```
/// # use discovery::{Discovery, Query, Settings};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), discovery::Error> {
/// let discovery = Discovery::new(Settings::default())?;
/// let pool = discovery.pool("web"); // a plain name
/// let watch = discovery.watch(Query::new("web").tag("v2").datacenter("dc2"));
/// # drop((pool, watch));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Discovery {
    settings: Arc<Settings>,
    agent: AgentClient,
    watches: Watches,
    pools: Arc<Pools>,
    client: Client,
    random: Random,
}

impl Discovery {
    /// Discovery with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// The settings can't be used: `https://` without the feature `tls`, or a server name that is none.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::builder(settings).build()
    }

    /// Discovery with these settings, and with options for all or for single services.
    pub fn builder(settings: Settings) -> DiscoveryBuilder {
        DiscoveryBuilder::new(settings)
    }

    pub(crate) fn assemble(
        settings: Settings,
        random: Random,
        agent: AgentClient,
        watches: Watches,
        pools: Arc<Pools>,
        client: Client,
    ) -> Self {
        Self { settings: Arc::new(settings), agent, watches, pools, client, random }
    }

    /// Discovery with settings from the environment of this process ([`Settings::from_vars`]). Connects to nothing yet.
    ///
    /// # Errors
    /// For a variable that can't be parsed.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Settings::from_env()?)
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client of the agent, for calls that this library does not wrap.
    #[must_use]
    pub fn agent(&self) -> &AgentClient {
        &self.agent
    }

    /// A watch of a query; a plain name is a query for all instances of a service. Source and datacenter default to the settings. The first
    /// watch of a query starts to poll, others share the poller, which stays for another 60 s after the last one was dropped. At most 256
    /// pollers stay without a watch; above that the one that was dropped first ends early.
    ///
    /// A watch of a query that its source can't express has a failure at once ([`Discovery::check`]).
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub fn watch(&self, query: impl Into<Query>) -> Watch {
        self.watches.watch(&self.watches.complete(query.into()), LINGER)
    }

    /// Sends a query once, without waiting for a change, so no query continues at the agent. For a program that exits after its query.
    ///
    /// # Errors
    /// No answer (within 10 s, by DNS within 3 s), an answer that can't be parsed, or a query that its source can't express.
    pub async fn ask(&self, query: impl Into<Query>) -> Result<Snapshot, Error> {
        let query = self.watches.complete(query.into());
        self.watches.ask(&query).await
    }

    /// Whether the source of a query can express it: for a program that checks its settings at the start.
    ///
    /// # Errors
    /// It can't ([`Error::is_setting`]); the error names the part of the query.
    pub fn check(&self, query: impl Into<Query>) -> Result<(), Error> {
        self.watches.check(&self.watches.complete(query.into()))
    }

    /// A pool of the instances of a query. All users of a query share one pool, which stays for another 60 s after the last one dropped it, so
    /// it is cheap to get one per request. At most 256 pools stay unused; above that the one that was dropped first ends early.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub fn pool(&self, query: impl Into<Query>) -> Pool {
        self.pools.pool(query.into())
    }

    /// The metrics of all pools of this program, also of those that its clients use. Read now; [`metrics`](crate::metrics) lists them.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of_pools(&self.pools.all())
    }

    /// A client that calls services by name, with the same pools.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Registers an instance, and keeps it registered while the handle is held: across restarts of the agent and losses of its data. Returns
    /// at once; [`Registered::ready`] waits until the instance can be found. It is registered after the program accepts connections
    /// ([`Registered::set_accepting`]) and a probe of the published address succeeds.
    ///
    /// # Errors
    /// It can't be registered: a name, id, meta or weight exceeds Consul's limits, or no caller could reach its address. The error names the
    /// reason and the limit ([`Error::is_setting`]).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn register(&self, registration: Registration) -> Result<Registered, Error> {
        Registered::start(self.agent.clone(), registration, self.random.fork())
    }

    /// Registers an instance with one request, and keeps nothing: for something that runs elsewhere. It stays registered until it is
    /// deregistered ([`AgentClient::deregister`]) or its agent loses its data. It is not connected to, and any probe of the registration is
    /// ignored. Returns its id.
    ///
    /// # Errors
    /// A value is out of bounds, or the check is [`Check::Ttl`](crate::registration::Check::Ttl), which needs heartbeats
    /// ([`Error::is_setting`]). Or the agent did not answer (in time: it may still have executed the request), or refused.
    pub async fn register_once(&self, registration: Registration) -> Result<ServiceId, Error> {
        register_once(&self.agent, registration).await
    }
}
