//! The states that a pool publishes, and their derivation from the previous state and a new answer.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, Weak},
};

use arc_swap::{ArcSwap, Guard};
use tokio::{sync::watch, time::Instant};
use tracing::debug;

use super::{
    PickError,
    filter::Predicate,
    update::{self, Known, Next},
};
use crate::{
    Error, Instance, PoolOptions, Watched,
    balance::{Balancer, Ranks},
    error::Kind,
    member::{EjectionLimit, Member, MemberStats, Moment},
    metrics::Counts,
    names::Names,
};

/// One consistent state of a pool.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) ranks: Ranks,
    /// The error of a pick that finds no member.
    pub(super) empty: PickError,
    pub(super) watched: Watched,
}

/// The channel of the states of a pool. The feed publishes them.
#[derive(Debug)]
pub(super) struct PoolState {
    service: Arc<str>,
    epoch: Instant,
    limit: Arc<EjectionLimit>,
    counts: Arc<Counts>,
    names: Arc<Names>,
    pub(super) options: Arc<PoolOptions>,
    pub(super) balancer: Balancer,
    /// The part of its root that a derived pool publishes; None for other pools.
    pub(super) keep: Option<Predicate>,
    /// The pool that a derived pool is a part of; None for other pools.
    pub(super) root: Option<Arc<Self>>,
    pub(super) derived: Mutex<Vec<Weak<Self>>>,
    /// Held while a derived pool takes its part, so that an older part never replaces a newer one.
    pub(super) following: Mutex<()>,
    published: ArcSwap<Published>,
    start: watch::Sender<Start>,
}

/// Whether a pool has its first answer. Its channel also signals each publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    NoAnswerYet,
    Answered,
    EndedWithoutAnswer,
}

impl Published {
    pub(super) fn new(members: Vec<Arc<Member>>, watched: Watched, balancer: &Balancer) -> Self {
        let empty = match &watched.snapshot {
            None => PickError::NoAnswerYet,
            Some(snapshot) if snapshot.instances.is_empty() => PickError::NoInstances,
            Some(_) => PickError::NonePassing,
        };
        Self { ranks: Ranks::new(balancer, &members), members, empty, watched }
    }

    fn nothing(balancer: &Balancer) -> Self {
        Self::new(Vec::new(), Watched::default(), balancer)
    }

    /// Whether there is an instance that may be called.
    pub(super) fn has_any(&self) -> bool {
        !self.members.iter().all(|member| member.is_dropped())
    }
}

impl PoolState {
    pub(super) fn new(service: Arc<str>, options: Arc<PoolOptions>, now: Instant) -> Self {
        let limit = Arc::default();
        let balancer = Balancer::new(&options, &limit);
        Self {
            service,
            epoch: now,
            limit,
            counts: Arc::default(),
            names: Arc::default(),
            keep: None,
            root: None,
            derived: Mutex::default(),
            following: Mutex::default(),
            published: ArcSwap::from_pointee(Published::nothing(&balancer)),
            start: watch::Sender::new(Start::NoAnswerYet),
            options,
            balancer,
        }
    }

    /// The states of a pool that publishes a part of this one. It begins without instances.
    pub(super) fn deriving(self: &Arc<Self>, keep: Predicate) -> Self {
        let balancer = Balancer::new(&self.options, &self.limit);
        Self {
            service: Arc::clone(&self.service),
            epoch: self.epoch,
            limit: Arc::clone(&self.limit),
            counts: Arc::clone(&self.counts),
            names: Arc::clone(&self.names),
            keep: Some(keep),
            root: Some(Arc::clone(self)),
            derived: Mutex::default(),
            following: Mutex::default(),
            published: ArcSwap::from_pointee(Published::nothing(&balancer)),
            start: watch::Sender::new(*self.start.borrow()),
            options: Arc::clone(&self.options),
            balancer,
        }
    }

    /// Signals each publication.
    pub(super) fn changed(&self) -> watch::Receiver<Start> {
        self.start.subscribe()
    }

    /// The hosts of its members that are known by name.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The counters, with all results of the members so far.
    pub(super) fn counts(&self) -> &Counts {
        for member in &self.published().members {
            member.stats.count_results();
        }
        &self.counts
    }

    pub(super) fn service(&self) -> &Arc<str> {
        &self.service
    }

    #[inline]
    pub(super) fn moment(&self, now: Instant) -> Moment {
        Moment::new(now, self.epoch)
    }

    #[inline]
    pub(super) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    /// Publishes the members that result from this. Returns when to publish again if there is no earlier answer.
    pub(super) fn publish(&self, watched: Watched, now: Instant) -> Option<Instant> {
        let old = self.published.load_full();
        let snapshot = watched.snapshot.as_ref();
        let answer: &[Arc<Instance>] = snapshot.map_or(&[], |snapshot| &snapshot.instances);
        let known: Vec<_> = old.members.iter().map(|member| Known::of(member)).collect();
        let next = update::update(&known, answer, self.options.reserve, now);
        let deadline = update::next_deadline(&next);
        let members: Vec<_> =
            next.into_iter().map(|next| self.member(next, &old.members, now)).collect();
        debug!(service = %self.service, members = members.len(), "pool published");
        self.store(Published::new(members, watched, &self.balancer));
        self.settle(&old.members, now);
        self.announce();
        deadline
    }

    pub(super) fn store(&self, published: Published) {
        self.published.store(Arc::new(published));
        self.each_derived(|derived| derived.follow(self));
    }

    /// Wakes the tasks that wait for an answer or a change.
    pub(super) fn announce(&self) {
        let is_answered = self.is_answered();
        self.start.send_modify(|start| {
            if is_answered {
                *start = Start::Answered;
            }
        });
    }

    /// The next member: the same one where nothing has changed.
    fn member(&self, next: Next, old: &[Arc<Member>], now: Instant) -> Arc<Member> {
        let Next { instance, known, reserve_until } = next;
        let old = known.map(|place| &old[place]);
        if let Some(old) = old
            && old.instance == instance
            && old.reserve_until == reserve_until
        {
            return Arc::clone(old);
        }
        let stats = old.map_or_else(|| self.stats(now), |old| Arc::clone(&old.stats));
        if old.is_none() && self.is_answered() {
            stats.start_slowly(self.moment(now));
        }
        Arc::new(Member { instance, stats, reserve_until })
    }

    /// Whether it has published an answer.
    fn is_answered(&self) -> bool {
        self.published().watched.snapshot.is_some()
    }

    fn stats(&self, now: Instant) -> Arc<MemberStats> {
        let (limit, counts) = (Arc::clone(&self.limit), Arc::clone(&self.counts));
        Arc::new(MemberStats::new(self.epoch, limit, counts, Arc::clone(&self.options), now))
    }

    /// Switches the breakers of members that have left or are reserves off and those of others on, and readmits ejected members beyond the
    /// limit.
    fn settle(&self, old: &[Arc<Member>], now: Instant) {
        let now = self.moment(now);
        let published = self.published.load();
        let is_live = |member: &&Arc<Member>| member.reserve_until.is_none();
        let live: Vec<_> = published.members.iter().filter(is_live).collect();
        let stays: HashSet<_> = live.iter().map(|member| member.stats.id()).collect();
        for member in old.iter().filter(|member| !stays.contains(&member.stats.id())) {
            member.stats.switch_off();
        }
        let known: HashSet<_> = published.members.iter().map(|member| member.stats.id()).collect();
        for member in old.iter().filter(|member| !known.contains(&member.stats.id())) {
            member.stats.set_gone();
        }
        for member in &live {
            member.stats.switch_on(now);
        }
        let too_many = self.limit.allow(self.options.ejected_max_percent, live.len());
        let out = |member: &&Arc<Member>| {
            Some((member.stats.ejected_until()?, Arc::clone(&member.stats)))
        };
        let mut out: Vec<_> = live.iter().filter_map(out).collect();
        out.sort_by_key(|(until, _)| *until);
        for (_, stats) in out.iter().take(too_many) {
            stats.readmit(now);
        }
    }

    pub(super) async fn ready(&self) -> Result<(), Error> {
        let mut start = self.start.subscribe();
        // The sender is in self, so the channel is open.
        let start = start.wait_for(|start| *start != Start::NoAnswerYet).await;
        match start.map(|start| *start) {
            Ok(Start::Answered) => Ok(()),
            Ok(Start::NoAnswerYet | Start::EndedWithoutAnswer) | Err(_) => {
                let text = format!("the watch of {} ended without an answer", self.service);
                Err(Error::new(Kind::Unreachable, text))
            }
        }
    }

    /// Restarts without instances.
    pub(super) fn clear(&self) {
        let old = self.published.swap(Arc::new(Published::nothing(&self.balancer)));
        self.start.send_replace(Start::NoAnswerYet);
        self.each_derived(Self::clear);
        for member in &old.members {
            member.stats.switch_off();
        }
    }

    /// Marks the end: there will be no further answer.
    pub(super) fn end(&self) {
        self.start.send_if_modified(|start| {
            let is_waiting = *start == Start::NoAnswerYet;
            if is_waiting {
                *start = Start::EndedWithoutAnswer;
            }
            is_waiting
        });
        self.each_derived(Self::end);
    }
}
