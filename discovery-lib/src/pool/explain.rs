//! The state of a pool as data, which explains the next pick: for operators and metrics.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Pool, Report, state::PoolState, update::key};
use crate::{
    Instance, Watched,
    member::{Ejection, Member, MemberId, Moment, Rank},
};

/// The state of a pool at a moment. Its `Display` is a page for operators, as that of [`Report`](super::Report). Serializes as
///
/// ```json
/// {
///   "service": "web",
///   "snapshot": {"origin": "catalog", "index": 7, "age_ms": 12, "filtered_by_acls": false},
///   "failure": null,
///   "instances": [{
///     "address": "10.0.0.1:80", "id": "web-1", "node": "larry", "datacenter": "dc1", "status": "passing",
///     "weight": 1, "rank": "passing", "latency_ms": 1.5, "in_flight": 0,
///     "ejected_since_ms": null, "ejected_for_ms": null, "ejected_because": null, "reserve_for_ms": null,
///     "checks": [{"name": "Serf Health Status", "status": "passing", "output": "Agent alive and reachable"}]
///   }],
///   "left_out": [{"node": "larry", "id": "web-2", "why": "it has no port, so it can't be called"}]
/// }
/// ```
///
/// where `snapshot` is null before the first answer, its `origin` is `catalog`, `preparedquery`, `dns`, `fixed` or `disk`, and `rank` and the
/// fields after it are null for instances that are never picked. `left_out` has the records of the answer that can't be used. With `filtered_by_acls` there are more that the token may not read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The service.
    pub service: Arc<str>,
    /// The time of this state.
    pub at: Instant,
    /// The last answer, its age, and the failure since.
    pub watched: Watched,
    /// The best rank first, then those that are never picked.
    pub instances: Vec<Explained>,
}

/// One instance and its statistics.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// The instance as in the last answer.
    pub instance: Arc<Instance>,
    /// Its statistics as a member; None if it is never picked (critical, or in maintenance).
    pub member: Option<ExplainedMember>,
}

/// The statistics of a member.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ExplainedMember {
    /// The identity of the running copy.
    pub id: MemberId,
    /// Its rank at this moment.
    pub rank: Rank,
    /// The latency estimate, with failures charged as slow answers; None before its first answer.
    pub latency: Option<Duration>,
    /// The number of calls that use it now.
    pub in_flight: u32,
    /// Its ejection; None if it is not ejected.
    pub ejection: Option<Ejection>,
    /// When its time as reserve ends; None if it is not a reserve.
    pub reserve_until: Option<Instant>,
}

impl Pool {
    /// The state of the pool, which explains the next pick.
    pub fn explain(&self) -> Explanation {
        Explanation { watched: self.watched(), ..explain(&self.state) }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Report::from(self).fmt(f)
    }
}

fn explain(state: &PoolState) -> Explanation {
    let published = state.published();
    let at = Instant::now();
    let now = state.moment(at);
    let members = || published.members.iter().filter(|member| !member.is_dropped());
    let mut instances: Vec<_> = members().map(|member| Explained::of(member, now)).collect();
    instances.sort_by_key(|it| it.member.map(|member| member.rank));
    let members: HashSet<_> = members().map(|member| key(&member.instance)).collect();
    let answer = published.watched.snapshot.iter().flat_map(|snapshot| snapshot.instances.iter());
    let never = answer
        .filter(|instance| !members.contains(&key(instance)))
        .map(|instance| Explained { instance: Arc::clone(instance), member: None });
    instances.extend(never);
    let service = Arc::clone(state.service());
    Explanation { service, at, watched: published.watched.clone(), instances }
}

impl Explained {
    fn of(member: &Member, now: Moment) -> Self {
        let stats = &member.stats;
        let explained = ExplainedMember {
            id: stats.id(),
            rank: member.rank(now),
            latency: stats.latency().estimate(),
            in_flight: stats.in_flight(),
            ejection: stats.ejection(),
            reserve_until: member.reserve_until,
        };
        Self { instance: Arc::clone(&member.instance), member: Some(explained) }
    }
}
