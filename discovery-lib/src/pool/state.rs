//! What a pool publishes, and how it is made from what was published before and a new answer.

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, Guard};
use tokio::{sync::watch, time::Instant};
use tracing::debug;

use super::{
    PickError,
    update::{self, Known, Next},
};
use crate::{
    Error, Instance, Watched,
    balance::{Policy, Ranks, TwoChoices},
    error::Kind,
    member::{EjectionLimit, Member, MemberStats, Moment},
    names::Names,
};

type Picker = <TwoChoices as Policy>::Picker;

/// One consistent state of a pool.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) ranks: Ranks<Picker>,
    /// What a pick says if it finds nobody.
    pub(super) empty: PickError,
    pub(super) watched: Watched,
}

/// The states of a pool, one after the other. Many read, one writes: the feed.
#[derive(Debug)]
pub(super) struct PoolState {
    service: Arc<str>,
    epoch: Instant,
    limit: Arc<EjectionLimit>,
    names: Names,
    published: ArcSwap<Published>,
    start: watch::Sender<Start>,
}

/// How far a pool has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    NoAnswerYet,
    Answered,
    EndedWithoutAnswer,
}

impl Published {
    fn nothing() -> Self {
        Self {
            members: Vec::new(),
            ranks: Ranks::new(&TwoChoices, &[]),
            empty: PickError::NoAnswerYet,
            watched: Watched::default(),
        }
    }

    /// Whether there is anyone who may be called.
    pub(super) fn has_any(&self) -> bool {
        !self.members.iter().all(|member| member.is_dropped())
    }
}

impl PoolState {
    pub(super) fn new(service: Arc<str>, now: Instant) -> Self {
        Self {
            service,
            epoch: now,
            limit: Arc::default(),
            names: Names::default(),
            published: ArcSwap::from_pointee(Published::nothing()),
            start: watch::Sender::new(Start::NoAnswerYet),
        }
    }

    /// The hosts of its members that are known by name.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn service(&self) -> &Arc<str> {
        &self.service
    }

    pub(super) fn now(&self) -> Moment {
        Moment::new(Instant::now(), self.epoch)
    }

    pub(super) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    /// Publishes what this means for the members; says when to look again, if no answer comes before.
    pub(super) fn publish(&self, watched: Watched, now: Instant) -> Option<Instant> {
        let old = self.published.load_full();
        let (answer, empty): (&[Arc<Instance>], _) = match &watched.snapshot {
            None => (&[], PickError::NoAnswerYet),
            Some(snapshot) if snapshot.instances.is_empty() => (&[], PickError::NoInstances),
            Some(snapshot) => (&snapshot.instances, PickError::NonePassing),
        };
        let known: Vec<_> = old.members.iter().map(|member| Known::of(member)).collect();
        let next = update::update(&known, answer, now);
        let deadline = update::next_deadline(&next);
        let members: Vec<_> =
            next.into_iter().map(|next| self.member(next, &old.members, now)).collect();
        debug!(service = %self.service, members = members.len(), "pool published");
        let ranks = Ranks::new(&TwoChoices, &members);
        let is_answered = watched.snapshot.is_some();
        self.published.store(Arc::new(Published { members, ranks, empty, watched }));
        self.settle(&old.members, now);
        if is_answered {
            self.start.send_replace(Start::Answered);
        }
        deadline
    }

    /// The member that is to be: the same one where nothing has changed.
    fn member(&self, next: Next, old: &[Arc<Member>], now: Instant) -> Arc<Member> {
        let Next { instance, known, reserve_until } = next;
        let old = known.map(|place| &old[place]);
        if let Some(old) = old
            && old.instance == instance
            && old.reserve_until == reserve_until
        {
            return Arc::clone(old);
        }
        let stats = old.map_or_else(
            || Arc::new(MemberStats::new(self.epoch, Arc::clone(&self.limit), now)),
            |old| Arc::clone(&old.stats),
        );
        Arc::new(Member { instance, stats, reserve_until })
    }

    /// Ends the judging of those who have left or become reserves, begins it for those who are none any more, and keeps at most half
    /// ejected.
    fn settle(&self, old: &[Arc<Member>], now: Instant) {
        let now = Moment::new(now, self.epoch);
        let published = self.published.load();
        let is_live = |member: &&Arc<Member>| member.reserve_until.is_none();
        let live: Vec<_> = published.members.iter().filter(is_live).collect();
        let stays: HashSet<_> = live.iter().map(|member| member.stats.id()).collect();
        for member in old.iter().filter(|member| !stays.contains(&member.stats.id())) {
            member.stats.switch_off();
        }
        for member in &live {
            member.stats.switch_on(now);
        }
        let too_many = self.limit.allow_half_of(live.len());
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
        // Its sender is ours, so that it can't be gone.
        let start = start.wait_for(|start| *start != Start::NoAnswerYet).await;
        match start.map(|start| *start) {
            Ok(Start::Answered) => Ok(()),
            Ok(Start::NoAnswerYet | Start::EndedWithoutAnswer) | Err(_) => {
                let text = format!("the watch of {} ended without any answer", self.service);
                Err(Error::new(Kind::Unreachable, text))
            }
        }
    }

    /// Begins anew, knowing nothing.
    pub(super) fn forget(&self) {
        let old = self.published.swap(Arc::new(Published::nothing()));
        self.start.send_replace(Start::NoAnswerYet);
        for member in &old.members {
            member.stats.switch_off();
        }
    }

    /// No further answer will come.
    pub(super) fn end(&self) {
        self.start.send_if_modified(|start| {
            let is_waiting = *start == Start::NoAnswerYet;
            if is_waiting {
                *start = Start::EndedWithoutAnswer;
            }
            is_waiting
        });
    }
}
