//! A process that calls: its watch, its pool and its calls.

use std::{collections::BTreeMap, sync::Arc};

use http::Method;
use tokio::time::Instant;

use super::consul::copy_of;
use crate::{
    CallOptions, Pick, Pool, PoolOptions, Random, Status, Watched,
    member::Member,
    tries::{Budget, Limits, Tries, TryOutcome},
    watch::machine::{Machine, Notice},
};

pub(super) struct Caller {
    pub(super) machine: Machine,
    pub(super) pool: Pool,
    pub(super) budget: Budget,
    pub(super) options: CallOptions,
    watched: Watched,
    /// When each run was last in an answer as callable.
    pub(super) known_at: BTreeMap<u64, Instant>,
    /// Nothing passes between it and its agent until then.
    pub(super) cut_until: Instant,
    /// Its view may be out of date for a reason until then.
    pub(super) impaired_until: Instant,
    /// Nothing passes between it and this process until then.
    pub(super) partitioned_until: Vec<Instant>,
}

/// One call.
pub(super) struct Call {
    pub(super) caller: usize,
    pub(super) tries: Tries,
    pub(super) method: Method,
    /// The instance of the current try.
    pub(super) pick: Option<Pick>,
    pub(super) limits: Option<Limits>,
    /// The process that the current try has reached, and its run.
    pub(super) reached: Option<(usize, u64)>,
    pub(super) outcome: Option<TryOutcome>,
    /// How often it may have been served.
    pub(super) served: u32,
    pub(super) began_at: Instant,
}

impl Caller {
    pub(super) fn new(seed: u64, processes: usize, now: Instant) -> Self {
        let options = CallOptions::default();
        let pool = PoolOptions::default().or_random(&Random::seeded(seed));
        Self {
            machine: Machine::new(now),
            pool: Pool::simulated("web", pool, now),
            budget: Budget::of_checked(&options, now),
            options,
            watched: Watched::default(),
            known_at: BTreeMap::new(),
            cut_until: now,
            impaired_until: now,
            partitioned_until: vec![now; processes],
        }
    }

    /// Whether it ever had an answer.
    pub(super) fn has_answer(&self) -> bool {
        self.watched.snapshot.is_some()
    }

    /// Returns when its pool is to be published again.
    pub(super) fn notice(&mut self, notice: Notice, now: Instant) -> Option<Instant> {
        match notice {
            Notice::Answer(snapshot) => {
                let callable = |status| matches!(status, Status::Passing | Status::Warning);
                for instance in snapshot.instances.iter().filter(|it| callable(it.status)) {
                    self.known_at.insert(copy_of(instance).1, now);
                }
                self.watched = Watched::from(snapshot);
            }
            Notice::Failure(error) => self.watched.failure = Some(Arc::new(error)),
        }
        self.publish(now)
    }

    pub(super) fn publish(&self, now: Instant) -> Option<Instant> {
        self.pool.publish(self.watched.clone(), now)
    }

    /// The member of this pick. None if it has left the pool.
    pub(super) fn member(&self, pick: &Pick) -> Option<Arc<Member>> {
        self.pool.members().into_iter().find(|it| it.stats.id() == pick.member())
    }
}

impl Call {
    pub(super) fn new(caller: usize, method: Method, options: &CallOptions, now: Instant) -> Self {
        Self {
            caller,
            tries: Tries::new(method.clone(), options, now),
            method,
            pick: None,
            limits: None,
            reached: None,
            outcome: None,
            served: 0,
            began_at: now,
        }
    }
}
