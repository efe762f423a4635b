//! The pools of one program: one per query, so that its users share the statistics of its members, and the connections to them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Pool, feed::Feed};
use crate::{
    PoolOptions, Query, Random, ServiceOptions,
    lifetime::{Background, Usage, make_room},
    watch::{self, Watches},
};

/// The maximum number of pools that linger without a user, equal to that of pollers.
const LINGERING_MAX: usize = watch::LINGERING_MAX;

/// The pools of one program.
#[derive(Debug)]
pub(crate) struct Pools {
    watches: Watches,
    options: PoolsOptions,
    /// The map does not keep a pool running.
    pools: Mutex<HashMap<Query, Pool>>,
}

impl Pools {
    /// Pools that are fed by these watches.
    pub(crate) fn new(watches: Watches, options: PoolsOptions) -> Self {
        Self { watches, options, pools: Mutex::default() }
    }

    /// The pool of the query, which is created if there is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn pool(&self, query: Query) -> Pool {
        let query = self.watches.complete(query);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&query) {
            return pool.held();
        }
        // This also removes pools that have ended.
        make_room(&mut pools, LINGERING_MAX, Pool::usage);
        let endpoints = self.watches.endpoints(&query);
        let (watches, key) = (self.watches.clone(), query.clone());
        let options = self.options.of(&key.service);
        // The pool lingers, so its watch does not linger.
        let watch = move || watches.watch(&query, Duration::ZERO);
        let pool = Pool::shared(key.service.clone(), &endpoints, options, watch);
        let held = pool.held();
        pools.insert(key, pool);
        held
    }

    /// The pools that run, in no order.
    pub(crate) fn all(&self) -> Vec<Pool> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().filter(|pool| !pool.has_ended()).cloned().collect()
    }
}

/// The options of the pools of one program.
#[derive(Debug)]
pub(crate) struct PoolsOptions {
    all: Arc<PoolOptions>,
    of_services: HashMap<Arc<str>, Arc<PoolOptions>>,
    /// The source of each pool without its own.
    random: Option<Random>,
}

impl PoolsOptions {
    pub(crate) fn new(
        all: ServiceOptions,
        of_services: HashMap<Arc<str>, ServiceOptions>,
        random: Option<Random>,
    ) -> Self {
        let of_services =
            of_services.into_iter().map(|(name, options)| (name, Arc::new(options.pool)));
        Self { all: Arc::new(all.pool), of_services: of_services.collect(), random }
    }

    fn of(&self, service: &str) -> Arc<PoolOptions> {
        let options = self.of_services.get(service).unwrap_or(&self.all);
        match &self.random {
            Some(random) => Arc::new(PoolOptions::clone(options).or_random(random)),
            None => Arc::clone(options),
        }
    }
}

impl Pool {
    fn usage(&self) -> Usage {
        let usage = |feed: &Feed| feed.background().map(Background::usage);
        self.feed.as_deref().and_then(usage).unwrap_or(Usage::Ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::{
        Random, Settings,
        agent::{AgentClient, AgentSettings},
        lifetime::LINGER,
    };

    fn pools() -> Pools {
        let agent = AgentClient::new(AgentSettings::default()).unwrap();
        let source = "fixed:127.0.0.1:80".parse().unwrap();
        let settings = Settings { source, ..Settings::default() };
        let options = PoolsOptions::new(ServiceOptions::default(), HashMap::new(), None);
        Pools::new(Watches::new(agent, &settings, Random::seeded(1), None), options)
    }

    #[tokio::test]
    async fn users_of_equal_queries_share_a_pool_and_its_statistics() {
        let pools = pools();
        let (one, other) = (pools.pool("web".into()), pools.pool("web".into()));
        one.ready().await.unwrap();
        let _pick = one.pick().unwrap();
        assert_eq!(other.explain().instances[0].member.unwrap().in_flight, 1);
        let tagged = Query::new("web").datacenter("dc2");
        assert_eq!(pools.pool(tagged).explain().instances.len(), 0, "another query");
        assert_eq!(
            pools.pool("db".into()).explain().instances.len(),
            0,
            "another service, without an answer yet"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn statistics_survive_from_one_pool_to_the_next_and_end_without_use() {
        let pools = pools();
        let first = pools.pool("web".into());
        first.ready().await.unwrap();
        let member = first.pick().unwrap().member();
        drop(first);
        sleep(LINGER / 2).await;
        assert_eq!(pools.pool("web".into()).pick().unwrap().member(), member);
        sleep(LINGER * 2).await;
        let again = pools.pool("web".into());
        assert!(again.pick().is_err(), "it has no answer yet");
        again.ready().await.unwrap();
        assert_ne!(again.pick().unwrap().member(), member);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_without_a_holder_lives_while_it_is_called() {
        let pools = pools();
        let pool = pools.pool("web".into()).without_hold();
        pool.ready().await.unwrap();
        let member = pool.pick().unwrap().member();
        for _ in 0..5 {
            sleep(LINGER / 2).await;
            pool.touch(tokio::time::Instant::now());
            assert_eq!(pool.pick().unwrap().member(), member);
        }
        sleep(LINGER * 2).await;
        assert!(pool.has_ended());
        assert!(pool.explain().instances.is_empty(), "its instances are not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn pools_that_linger_are_limited_and_those_that_ended_are_removed() {
        let pools = pools();
        let held = pools.pool("held".into());
        for service in 0..LINGERING_MAX * 2 {
            drop(pools.pool(service.to_string().into()));
        }
        assert_eq!(pools.pools.lock().unwrap().len(), LINGERING_MAX + 1);
        sleep(LINGER * 2).await;
        drop(pools.pool("one more".into()));
        assert_eq!(pools.pools.lock().unwrap().len(), 2);
        assert!(!held.has_ended());
    }
}
