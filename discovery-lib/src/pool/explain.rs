//! Why the next pick would go where it goes, as data: for people and metrics, not for picking.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Pool, state::PoolState, update::key};
use crate::{
    Instance, Watched,
    member::{Member, MemberId, Moment, Rank},
};

/// A pool at a moment.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What is known of the service, how old it is, and why nothing newer is known.
    pub watched: Watched,
    /// The best rank first, then those that are never picked.
    pub instances: Vec<Explained>,
}

/// One instance, and what callers have stats about it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// As Consul last said.
    pub instance: Arc<Instance>,
    /// What is known of it as a member; None if it is never picked as it is (critical, or in maintenance).
    pub member: Option<ExplainedMember>,
}

/// What callers have stats about a member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExplainedMember {
    /// Which running copy it is.
    pub id: MemberId,
    /// How good it is.
    pub rank: Rank,
    /// How quickly it answers, failures charged as slow answers; None before its first answer.
    pub latency: Option<Duration>,
    /// So many calls use it now.
    pub in_flight: u32,
    /// When its ejection ends; None if it is not ejected.
    pub ejected_until: Option<Instant>,
    /// When its time as reserve ends; None if it is none.
    pub reserve_until: Option<Instant>,
}

impl Pool {
    /// Why the next pick would go where it goes.
    pub fn explain(&self) -> Explanation {
        let explanation = explain(&self.state);
        let latest = self.feed.as_ref().and_then(|feed| feed.latest());
        Explanation { watched: latest.unwrap_or(explanation.watched), ..explanation }
    }
}

fn explain(state: &PoolState) -> Explanation {
    let published = state.published();
    let now = state.now();
    let members = || published.members.iter().filter(|member| !member.is_dropped());
    let mut instances: Vec<_> = members().map(|member| Explained::of(member, now)).collect();
    instances.sort_by_key(|it| it.member.map(|member| member.rank));
    let members: HashSet<_> = members().map(|member| key(&member.instance)).collect();
    let answer = published.watched.snapshot.iter().flat_map(|snapshot| snapshot.instances.iter());
    let never = answer
        .filter(|instance| !members.contains(&key(instance)))
        .map(|instance| Explained { instance: Arc::clone(instance), member: None });
    instances.extend(never);
    Explanation { watched: published.watched.clone(), instances }
}

impl Explained {
    fn of(member: &Member, now: Moment) -> Self {
        let stats = &member.stats;
        let explained = ExplainedMember {
            id: stats.id(),
            rank: member.rank(now),
            latency: stats.latency().estimate(),
            in_flight: stats.in_flight(),
            ejected_until: stats.ejected_until(),
            reserve_until: member.reserve_until,
        };
        Self { instance: Arc::clone(&member.instance), member: Some(explained) }
    }
}
