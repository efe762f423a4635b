//! The handle that a program holds: its connections to the agent, and what it asks them for.

use std::sync::Arc;

use crate::{
    Client, Error, Pool, Registered, Registration, Resolve, Settings, Snapshot, Watch,
    agent::AgentClient, lifetime::LINGER, pool::StandingPools, watch::Standing,
};

/// Service discovery through one Consul agent. Cheap to clone; clones share connections. There is no global state: two of them in one
/// process are strangers.
#[derive(Debug, Clone)]
pub struct Discovery {
    settings: Arc<Settings>,
    agent: AgentClient,
    standing: Standing,
    pools: Arc<StandingPools>,
    client: Client,
}

impl Discovery {
    /// Discovery with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be made of the settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let agent = AgentClient::new(settings.agent.clone())?;
        let (dns, datacenter) = (settings.dns.clone(), settings.datacenter.clone());
        let standing = Standing::new(agent.clone(), dns, datacenter);
        let pools = Arc::new(StandingPools::new(standing.clone(), settings.resolve.clone()));
        let found = pools.clone();
        let client = Client::new(move |service| found.pool(service));
        Ok(Self { settings: Arc::new(settings), agent, standing, pools, client })
    }

    /// Discovery as the environment of this process says ([`Settings::from_vars`]). Connects to nothing yet.
    ///
    /// # Errors
    /// For a variable that can't be understood.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Settings::from_env()?)
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The agent, for what this library has no words for.
    pub fn agent(&self) -> &AgentClient {
        &self.agent
    }

    /// A watch of a service. The first one starts to ask and others share its question, which is asked for another 60 s after the last one
    /// was dropped. Of questions that nothing holds any more 256 are asked; beyond that the one that was dropped first ends early.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub fn watch(&self, service: &str, resolve: &Resolve) -> Watch {
        self.standing.watch(service, resolve, LINGER)
    }

    /// Asks once who the instances of a service are, without waiting for a change: nothing is left behind at the agent. For a program that
    /// asks and ends.
    ///
    /// # Errors
    /// Nothing answered (within 10 s, by DNS within 3 s), or the answer makes no sense.
    pub async fn ask(&self, service: &str, resolve: &Resolve) -> Result<Snapshot, Error> {
        self.standing.ask(service, resolve).await
    }

    /// The members of a service, found as [`Settings::resolve`] says. All who ask for a service share one pool, which lives for another 60 s
    /// after the last of them dropped it: so it costs nothing to ask for one in each handler. Of pools that nothing holds any more 256 are
    /// kept; beyond that the one that was dropped first ends early.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub fn pool(&self, service: &str) -> Pool {
        self.pools.pool(service)
    }

    /// A caller of services by name, on the same pools.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Registers an instance, and keeps it registered for as long as the handle is held: over restarts of the agent and losses of its data.
    /// Returns at once; [`Registered::ready`] waits until others can find it. Nothing is registered before the program accepts
    /// connections ([`Registered::set_accepting`]) and something answers at the address that others would be given.
    ///
    /// # Errors
    /// It can't be registered: a name, id, meta or weight beyond Consul's limits, or an address at which nobody would reach it. The reason and
    /// the limit are said ([`Error::is_setting`]).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn register(&self, registration: Registration) -> Result<Registered, Error> {
        Registered::start(self.agent.clone(), registration)
    }
}
