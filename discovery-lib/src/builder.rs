//! A [`Discovery`] with options of its own.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Client, Discovery, Error, Random, ServiceOptions, Settings,
    agent::AgentClient,
    pool::{Pools, PoolsOptions},
    watch::Watches,
};

/// Builds a [`Discovery`] ([`Discovery::builder`]).
///
/// ```
/// use std::time::Duration;
/// use discovery::{CallOptions, Discovery, PoolOptions, RoundRobin, ServiceOptions, Settings};
///
/// # fn main() -> Result<(), discovery::Error> {
/// let slow = CallOptions::default()
///     .try_timeout(Duration::from_secs(20))
///     .call_timeout(Duration::from_secs(60));
/// let discovery = Discovery::builder(Settings::default())
///     .options(ServiceOptions::new().pool(PoolOptions::new().consecutive_failures(3)))
///     .service("reports", ServiceOptions::new().call(slow))
///     .service("cache", ServiceOptions::new().pool(PoolOptions::new().policy(RoundRobin)))
///     .build()?;
/// # drop(discovery);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct DiscoveryBuilder {
    settings: Settings,
    random: Option<Random>,
    options: ServiceOptions,
    of_services: HashMap<Arc<str>, ServiceOptions>,
}

impl DiscoveryBuilder {
    pub(crate) fn new(settings: Settings) -> Self {
        let (options, of_services) = (ServiceOptions::default(), HashMap::new());
        Self { settings, random: None, options, of_services }
    }

    /// The options of all services that have none of their own. Default: [`ServiceOptions::default`].
    pub fn options(mut self, options: ServiceOptions) -> Self {
        self.options = options;
        self
    }

    /// The options of one service. They replace those of all services, also where they are defaults.
    pub fn service(mut self, service: impl Into<Arc<str>>, options: ServiceOptions) -> Self {
        self.of_services.insert(service.into(), options);
        self
    }

    /// The source of random numbers, so that a seed reproduces backoffs, jitters and picks. Default: one from entropy, and for picks one per
    /// thread.
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// Builds it. Connects to nothing yet.
    ///
    /// # Errors
    /// An option is out of its bounds, or the settings can't be used. The error names the option and the bounds ([`Error::is_setting`]).
    pub fn build(self) -> Result<Discovery, Error> {
        let Self { settings, random, options, of_services } = self;
        for options in of_services.values().chain([&options]) {
            options.check()?;
        }
        let picks = random.as_ref().map(Random::fork);
        let random = random.unwrap_or_else(Random::from_entropy);
        let agent = AgentClient::new(settings.agent.clone())?;
        let watches = Watches::new(agent.clone(), &settings, random.fork());
        let of_calls = of_services.iter().map(|(name, it)| ((&**name).into(), it.call.clone()));
        let (call, of_calls) = (options.call.clone(), of_calls.collect());
        let pools = PoolsOptions::new(options, of_services, picks);
        let pools = Arc::new(Pools::new(watches.clone(), pools));
        let found = Arc::clone(&pools);
        let find = Arc::new(move |service: &str| found.pool(service.into()));
        let client = Client::build(find, call, of_calls);
        Ok(Discovery::assemble(settings, random, agent, watches, pools, client))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{CallOptions, PoolOptions, RoundRobin};

    fn settings() -> Settings {
        let source = "fixed:127.0.0.1:81,127.0.0.1:82,127.0.0.1:83".parse().unwrap();
        Settings { source, ..Settings::default() }
    }

    async fn picks(discovery: &Discovery, service: &str) -> Vec<u16> {
        let pool = discovery.pool(service);
        pool.ready().await.unwrap();
        (0..20).map(|_| pool.pick().unwrap().instance().port).collect()
    }

    #[tokio::test]
    async fn the_options_of_a_service_replace_those_of_all() {
        let round_robin = || ServiceOptions::new().pool(PoolOptions::new().policy(RoundRobin));
        let discovery =
            Discovery::builder(settings()).service("web", round_robin()).build().unwrap();
        let each_in_turn = |ports: &[u16]| ports.windows(4).all(|it| it[0] == it[3]);
        assert!(each_in_turn(&picks(&discovery, "web").await));
        assert!(!each_in_turn(&picks(&discovery, "db").await));
    }

    #[tokio::test]
    async fn a_seed_reproduces_the_picks() {
        let seeded =
            |seed| Discovery::builder(settings()).random(Random::seeded(seed)).build().unwrap();
        let first = picks(&seeded(1), "web").await;
        assert_eq!(picks(&seeded(1), "web").await, first);
        assert_ne!(picks(&seeded(2), "web").await, first);
    }

    #[test]
    fn an_option_of_any_service_out_of_its_bounds_is_an_error() {
        let build = |options| Discovery::builder(settings()).service("web", options).build();
        let late = CallOptions::default().call_timeout(Duration::ZERO);
        for (options, name) in [
            (ServiceOptions::new().pool(PoolOptions::new().ejected_max(101)), "ejected_max"),
            (ServiceOptions::new().call(late), "call_timeout"),
        ] {
            let err = build(options).unwrap_err();
            assert!(err.is_setting() && err.to_string().contains(name), "{err}");
        }
    }
}
