//! Pools that are derived from another one: they share its members and statistics, and a predicate selects a part.

use std::{
    fmt,
    sync::{Arc, PoisonError},
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
        let state = self.state.derive(Predicate(Arc::new(keep)));
        Self { state, ..self.clone() }
    }
}

impl PoolState {
    fn derive(&self, keep: Predicate) -> Arc<Self> {
        let derived = Arc::new(self.deriving(keep));
        let mut all = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| it.strong_count() > 0);
        all.push(Arc::downgrade(&derived));
        derived.follow(&self.published());
        derived
    }

    /// Publishes the selected part of what the parent published.
    pub(super) fn follow(&self, parent: &Published) {
        let Some(keep) = &self.keep else { return };
        let members = parent.members.iter().filter(|it| (keep.0)(&it.instance)).cloned().collect();
        let watched = keep.watched(parent.watched.clone());
        self.store(Published::new(members, watched, &self.options.policy));
        self.announce();
    }

    pub(super) fn each_derived(&self, each: impl Fn(&Self)) {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.iter().filter_map(std::sync::Weak::upgrade).for_each(|derived| each(&derived));
    }
}
