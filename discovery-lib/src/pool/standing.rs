//! The pools of one program: one for each service, so that all who call it share what is learnt of its members, and the connections to them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Pool, feed::Feed, state::State};
use crate::{Resolve, watch};

/// Pools by service.
#[derive(Debug)]
pub(crate) struct StandingPools {
    questions: watch::Standing,
    resolve: Resolve,
    pools: Mutex<HashMap<Arc<str>, Standing>>,
}

/// A pool, as long as somebody holds it.
type Standing = (Weak<State>, Weak<Feed>);

impl StandingPools {
    /// Of what these questions find in this way.
    pub(crate) fn new(questions: watch::Standing, resolve: Resolve) -> Self {
        Self { questions, resolve, pools: Mutex::default() }
    }

    /// The pool that stands already, or a new one. Those that ended are swept out whenever one is added.
    pub(crate) fn pool(&self, service: &str) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            pools.get(service).and_then(|(state, feed)| Some((state.upgrade()?, feed.upgrade()?)));
        if let Some((state, feed)) = known {
            return Pool { state, feed: Some(feed) };
        }
        pools.retain(|_, (_, feed)| feed.strong_count() > 0);
        let service = Arc::<str>::from(service);
        let pool = Pool::standing(service.clone(), self.questions.watch(&service, &self.resolve));
        if let Some(feed) = &pool.feed {
            pools.insert(service, (Arc::downgrade(&pool.state), Arc::downgrade(feed)));
        }
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{AgentClient, AgentSettings};

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

    #[tokio::test]
    async fn a_pool_that_nobody_holds_ends_and_is_swept_out() {
        let pools = pools();
        for service in 0..100 {
            drop(pools.pool(&service.to_string()));
        }
        assert_eq!(pools.pools.lock().unwrap().len(), 1);
    }
}
