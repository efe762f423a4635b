//! Pools that are derived from another one: they share its members and statistics, and a predicate selects a part.

use std::{
    fmt,
    sync::{Arc, PoisonError, Weak},
};

use super::{
    Pool,
    state::{PoolState, Published},
};
use crate::{Instance, Snapshot, Watched};

/// Selects the instances of a derived pool.
#[derive(Clone)]
pub(super) struct Predicate(Arc<dyn Fn(&Instance) -> bool + Send + Sync>);

impl Predicate {
    /// The selected part of the current state.
    pub(super) fn watched(&self, watched: Watched) -> Watched {
        let select = |snapshot: Arc<Snapshot>| {
            let instances = snapshot.instances.iter().filter(|it| (self.0)(it)).cloned().collect();
            Arc::new(Snapshot { instances, ..(*snapshot).clone() })
        };
        Watched { snapshot: watched.snapshot.map(select), ..watched }
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

impl Pool {
    /// A pool of those instances that `keep` selects: by tag, metadata or any other property.
    ///
    /// It shares the members with this pool, and so their statistics, ejections and connections; the limit of ejections is that of this pool.
    /// It keeps this pool fed. No task is started.
    ///
    /// ```
    /// # use discovery::Pool;
    /// let pool = Pool::fixed("web", ["127.0.0.1:8001".parse().unwrap(), "127.0.0.1:8002".parse().unwrap()]);
    /// let second = pool.filter(|instance| instance.port == 8002);
    /// assert_eq!(second.pick().unwrap().instance().port, 8002);
    /// ```
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Instance) -> bool + Send + Sync + 'static) -> Self {
        let root = self.state.root.as_ref().unwrap_or(&self.state);
        let state = root.derive(Predicate(match self.state.keep.clone() {
            Some(Predicate(outer)) => Arc::new(move |it| outer(it) && keep(it)),
            None => Arc::new(keep),
        }));
        Self { state, ..self.clone() }
    }
}

impl PoolState {
    fn derive(self: &Arc<Self>, keep: Predicate) -> Arc<Self> {
        let derived = Arc::new(self.deriving(keep));
        {
            let mut all = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|it| it.strong_count() > 0);
            all.push(Arc::downgrade(&derived));
        }
        derived.follow(self);
        derived
    }

    /// Publishes the selected part of what the root has published.
    pub(super) fn follow(&self, root: &Self) {
        let Some(keep) = &self.keep else { return };
        let _following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = root.published();
        let members = parent.members.iter().filter(|it| (keep.0)(&it.instance)).cloned().collect();
        let watched = keep.watched(parent.watched.clone());
        self.store(Published::new(members, watched, &self.balancer));
        self.announce();
    }

    pub(super) fn each_derived(&self, each: impl Fn(&Self)) {
        let all = self.derived.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Not under the lock: a predicate may derive another pool.
        all.iter().filter_map(Weak::upgrade).for_each(|derived| each(&derived));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::watch,
        time::{Instant, timeout},
    };

    use super::*;
    use crate::Origin;

    fn answer(ports: impl IntoIterator<Item = u16>) -> Watched {
        let instance = |port| Arc::new(Instance::at("web", "10.0.0.1".into(), port));
        {
            let instances: Vec<_> = ports.into_iter().map(instance).collect();
            Snapshot::new(instances, Origin::Catalog, Instant::now()).into()
        }
    }

    async fn until_ports(pool: &Pool, expected: &[u16]) {
        let published = async {
            loop {
                let instances = pool.explain().instances;
                // Instances that vanished remain in reserve.
                let live = instances
                    .iter()
                    .filter(|it| it.member.is_some_and(|it| it.reserve_until.is_none()));
                let mut ports: Vec<_> = live.map(|it| it.instance.port).collect();
                ports.sort_unstable();
                if ports == expected {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(30), published).await.expect("not published");
    }

    #[tokio::test]
    async fn a_filter_of_a_filter_selects_by_both_and_needs_neither_parent() {
        let (answer_tx, answer_rx) = watch::channel(answer(1..=12));
        let even = Pool::from_watch("web", answer_rx).filter(|it| it.port % 2 == 0);
        let sixth = even.filter(|it| it.port % 3 == 0);
        drop(even);
        until_ports(&sixth, &[6, 12]).await;
        let known = sixth.explain().watched.snapshot.unwrap().instances.len();
        assert_eq!(known, 2, "the snapshot is of both filters");
        answer_tx.send_replace(answer(9..=18));
        until_ports(&sixth, &[12, 18]).await;
    }

    #[tokio::test]
    async fn a_predicate_may_use_its_pool() {
        let (answer_tx, answer_rx) = watch::channel(answer([1, 2]));
        let pool = Pool::from_watch("web", answer_rx);
        let inner = pool.clone();
        let second = pool.filter(move |it| {
            it.port == 2 && !inner.filter(|it| it.port == 1).service().is_empty()
        });
        until_ports(&second, &[2]).await;
        answer_tx.send_replace(answer([2, 3]));
        until_ports(&second, &[2]).await;
    }
}
