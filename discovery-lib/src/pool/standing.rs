//! The pools of one program: one for each service, so that all who call it share what is learnt of its members, and the connections to them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Pool, feed::Feed};
use crate::{
    Resolve,
    lifetime::{self, make_room},
    watch,
};

/// Pools that may linger, as many as questions.
const LINGERING_MAX: usize = watch::LINGERING_MAX;

/// Pools by service.
#[derive(Debug)]
pub(crate) struct StandingPools {
    questions: watch::Standing,
    resolve: Resolve,
    /// None of them is held here.
    pools: Mutex<HashMap<Arc<str>, Pool>>,
}

impl StandingPools {
    /// Of what these questions find in this way.
    pub(crate) fn new(questions: watch::Standing, resolve: Resolve) -> Self {
        Self { questions, resolve, pools: Mutex::default() }
    }

    /// The pool that stands already, or a new one. Those that ended are swept out whenever one is added.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn pool(&self, service: &str) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(service) {
            return pool.held();
        }
        make_room(&mut pools, LINGERING_MAX, Pool::standing_as);
        let service = Arc::<str>::from(service);
        let (questions, resolve, name) =
            (self.questions.clone(), self.resolve.clone(), service.clone());
        let whom = self.questions.whom(&resolve);
        // The pool lingers; its question need not do so once more.
        let watch = move || questions.watch(&name, &resolve, Duration::ZERO);
        let pool = Pool::standing(service.clone(), &whom, watch);
        let held = pool.held();
        pools.insert(service, pool);
        held
    }
}

impl Pool {
    fn standing_as(&self) -> lifetime::Standing {
        let standing = |feed: &Feed| feed.background().map(lifetime::Background::standing);
        self.feed.as_deref().and_then(standing).unwrap_or(lifetime::Standing::Ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::{
        agent::{AgentClient, AgentSettings},
        lifetime::LINGER,
    };

    fn pools() -> StandingPools {
        let agent = AgentClient::new(AgentSettings::default()).unwrap();
        let questions = watch::Standing::new(agent, crate::DnsAddress::default(), None);
        StandingPools::new(questions, "fixed:127.0.0.1:80".parse().unwrap())
    }

    #[tokio::test]
    async fn all_who_call_a_service_share_what_is_learnt() {
        let pools = pools();
        let (one, other) = (pools.pool("web"), pools.pool("web"));
        one.ready().await.unwrap();
        let _pick = one.pick().unwrap();
        assert_eq!(other.explain().instances[0].member.unwrap().in_flight, 1);
        assert_eq!(pools.pool("db").explain().instances.len(), 0, "another service, not known yet");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_learnt_lasts_from_one_pool_to_the_next_and_ends_when_nothing_uses_it() {
        let pools = pools();
        let first = pools.pool("web");
        first.ready().await.unwrap();
        let learnt = first.pick().unwrap().member();
        drop(first);
        sleep(LINGER / 2).await;
        assert_eq!(pools.pool("web").pick().unwrap().member(), learnt);
        sleep(LINGER * 2).await;
        let again = pools.pool("web");
        assert!(again.pick().is_err(), "it knows nothing yet");
        again.ready().await.unwrap();
        assert_ne!(again.pick().unwrap().member(), learnt);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_only_called_lives_as_long_as_it_is_called() {
        let pools = pools();
        let pool = pools.pool("web").without_hold();
        pool.ready().await.unwrap();
        let learnt = pool.pick().unwrap().member();
        for _ in 0..5 {
            sleep(LINGER / 2).await;
            pool.touch(tokio::time::Instant::now());
            assert_eq!(pool.pick().unwrap().member(), learnt);
        }
        sleep(LINGER * 2).await;
        assert!(pool.has_ended());
        assert!(pool.explain().instances.is_empty(), "nothing is kept of it");
    }

    #[tokio::test(start_paused = true)]
    async fn pools_that_linger_are_bounded_and_those_that_ended_are_swept_out() {
        let pools = pools();
        let held = pools.pool("held");
        for service in 0..LINGERING_MAX * 2 {
            drop(pools.pool(&service.to_string()));
        }
        assert_eq!(pools.pools.lock().unwrap().len(), LINGERING_MAX + 1);
        sleep(LINGER * 2).await;
        drop(pools.pool("one more"));
        assert_eq!(pools.pools.lock().unwrap().len(), 2);
        assert!(!held.has_ended());
    }
}
