//! A [`Discovery`] with options of its own.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use crate::{
    Client, Discovery, Error, Random, ServiceOptions, Settings,
    agent::AgentClient,
    pool::{Pools, PoolsOptions},
    watch::{Snapshots, Watches},
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
    snapshots: Option<PathBuf>,
}

impl DiscoveryBuilder {
    pub(crate) fn new(settings: Settings) -> Self {
        let (options, of_services) = (ServiceOptions::default(), HashMap::new());
        Self { settings, random: None, options, of_services, snapshots: None }
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

    /// Keeps the last answer to each watched query in this directory, for a start while Consul is away. Default: nothing is kept.
    ///
    /// A watch still asks Consul first. If the first query fails or has no answer within 500 ms, the watch publishes the answer from disk as
    /// [`Origin::Disk`](crate::Origin::Disk), with its true age ([`Snapshot::age`](crate::Snapshot::age)) and with the failure, and
    /// Consul's first answer replaces it. An answer that is older than 7 days, or has no instance, is not used: then it is as without a
    /// directory. [`Discovery::ask`] does not use it.
    ///
    /// ```
    /// # use discovery::{Discovery, Settings};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let state = tempfile::tempdir()?;
    /// # let state = state.path();
    /// let discovery = Discovery::builder(Settings::default()).snapshots(state.join("discovery")).build()?;
    /// # drop(discovery);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The directory belongs to programs of one user that ask one Consul: a file names its query, not the agent. It is created, with mode 0700,
    /// if there is none. There is one file per query, with mode 0600, at most 1024 in all, and at most 16 MiB each. A file is written when the
    /// instances change, at most once per second, and once per minute to renew its time; so a crash loses changes of the last second.
    /// An answer without instances removes the file after 60 s. Files that were not written for 7 days are removed by `build`. A file that is
    /// damaged, or that another user owns or can write, is not used; that and failures to write are logged and change nothing else.
    pub fn snapshots(mut self, directory: impl Into<PathBuf>) -> Self {
        self.snapshots = Some(directory.into());
        self
    }

    /// Builds it. Connects to nothing yet. With a directory for snapshots, blocks the thread to look at that.
    ///
    /// # Errors
    /// An option is out of its bounds, or the settings or the directory can't be used. The error names the option and the bounds
    /// ([`Error::is_setting`]).
    pub fn build(self) -> Result<Discovery, Error> {
        let Self { settings, random, options, of_services, snapshots } = self;
        for options in of_services.values().chain([&options]) {
            options.check()?;
        }
        let picks = random.as_ref().map(Random::fork);
        let random = random.unwrap_or_else(Random::from_entropy);
        let agent = AgentClient::new(settings.agent.clone())?;
        let snapshots =
            snapshots.map(|path| Snapshots::open(&path, &settings.agent)).transpose()?;
        let watches = Watches::new(agent.clone(), &settings, random.fork(), snapshots);
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
    fn a_directory_for_snapshots_that_can_not_be_used_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let err = Discovery::builder(settings()).snapshots(file.path()).build().unwrap_err();
        let start = format!("the directory for snapshots {} can't", file.path().display());
        assert!(err.is_setting() && err.to_string().starts_with(&start), "{err}");
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
