//! The table of all metrics of pools, and their values now.

use std::collections::BTreeMap;

use super::{
    Family, Kind, Sample,
    counts::{Count, Counts, REASONS},
};
use crate::{Explanation, Origin, Pool, Rank, Snapshot, watch::Queries};

/// How the value of a pool is read, and how those of pools of the same service are joined.
#[derive(Clone, Copy)]
enum Read {
    /// A counter of the pool; added up.
    Count(fn(&Counts) -> &Count),
    /// A counter of its watch; added up.
    Queries(fn(&Queries) -> u64),
    /// A gauge; added up.
    Sum(fn(&Explanation) -> Option<f64>),
    /// A gauge; the greatest.
    Max(fn(&Explanation) -> Option<f64>),
}

/// Name, text and value of each metric that has one sample per service.
const PER_SERVICE: [(&str, &str, Read); 14] = [
    ("discovery_calls_in_flight", "Calls that use a member now", Read::Sum(in_flight)),
    ("discovery_calls", "Results of calls to members, good and bad", Read::Count(|it| &it.results)),
    (
        "discovery_calls_failed",
        "Results of calls that are failures",
        Read::Count(|it| &it.failures),
    ),
    ("discovery_ejections", "Ejections of members", Read::Count(|it| &it.ejections)),
    ("discovery_retries", "Tries beyond the first of a call", Read::Count(|it| &it.retries)),
    ("discovery_hedges", "Tries beside another one of a call", Read::Count(|it| &it.hedges)),
    (
        "discovery_over_budget",
        "Tries that the retry budget did not allow",
        Read::Count(|it| &it.over_budget),
    ),
    (
        "discovery_answers",
        "Answers about the instances of a service",
        Read::Queries(|it| it.answered),
    ),
    ("discovery_query_failures", "Failed queries for its instances", Read::Queries(|it| it.failed)),
    ("discovery_query_failing", "1 while queries for its instances fail", Read::Max(is_failing)),
    (
        "discovery_snapshot_age_seconds",
        "Age of the last answer about the instances of a service",
        Read::Max(|it| snapshot(it, |last| last.age(it.at).as_secs_f64())),
    ),
    (
        "discovery_snapshot_index",
        "Consul's index of the last answer",
        Read::Max(|it| snapshot(it, |last| last.index as f64)),
    ),
    (
        "discovery_snapshot_from_disk",
        "1 if the instances of a service are those from disk, since there was no answer yet",
        Read::Max(|it| snapshot(it, |last| flag(last.origin == Origin::Disk))),
    ),
    (
        "discovery_hidden_by_acls",
        "1 if ACLs hide records of a service from the token, as far as Consul says so",
        Read::Max(|it| snapshot(it, |last| flag(last.is_filtered_by_acls()))),
    ),
];

const RANKS: [(&str, Rank); 5] = [
    ("passing", Rank::Passing),
    ("warning", Rank::Warning),
    ("spare", Rank::Spare),
    ("ejected", Rank::Ejected),
    ("reserve", Rank::Reserve),
];

/// A pool, read once.
struct Seen<'a> {
    explanation: Explanation,
    counts: &'a Counts,
}

/// The values of a metric by service and, if it has one, by another label.
#[derive(Default)]
struct Values(BTreeMap<(String, &'static str), f64>);

/// All families of these pools.
pub(super) fn collect<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Vec<Family> {
    let seen: Vec<_> = pools
        .into_iter()
        .map(|pool| Seen { explanation: pool.explain(), counts: pool.counts() })
        .collect();
    let mut families = vec![members(&seen)];
    families.extend(PER_SERVICE.map(|(name, help, read)| read.family(name, help, &seen)));
    families.push(failed_tries(&seen));
    families
}

impl Read {
    fn family(self, name: &'static str, help: &'static str, seen: &[Seen<'_>]) -> Family {
        let mut values = Values::default();
        for pool in seen {
            if let Some(value) = self.value(pool) {
                values.join(pool, "", value, self.join());
            }
        }
        values.family(name, help, self.kind(), None)
    }

    fn value(self, pool: &Seen<'_>) -> Option<f64> {
        match self {
            Self::Count(count) => Some(count(pool.counts).get() as f64),
            Self::Queries(count) => Some(count(&pool.explanation.watched.queries) as f64),
            Self::Sum(value) | Self::Max(value) => value(&pool.explanation),
        }
    }

    fn join(self) -> fn(f64, f64) -> f64 {
        match self {
            Self::Count(_) | Self::Queries(_) | Self::Sum(_) => sum,
            Self::Max(_) => f64::max,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Count(_) | Self::Queries(_) => Kind::Counter,
            Self::Sum(_) | Self::Max(_) => Kind::Gauge,
        }
    }
}

fn members(seen: &[Seen<'_>]) -> Family {
    let mut values = Values::default();
    for pool in seen {
        for (label, rank) in RANKS {
            let members = pool.explanation.instances.iter().filter_map(|it| it.member);
            let count = members.filter(|it| it.rank == rank).count();
            values.join(pool, label, count as f64, sum);
        }
    }
    values.family("discovery_members", "Members of a pool, by rank", Kind::Gauge, Some("rank"))
}

fn failed_tries(seen: &[Seen<'_>]) -> Family {
    let mut values = Values::default();
    for pool in seen {
        for (label, count) in REASONS.into_iter().zip(&pool.counts.failed_tries) {
            values.join(pool, label, count.get() as f64, sum);
        }
    }
    let help = "Tries that did not bring the response of their call, by reason";
    values.family("discovery_failed_tries", help, Kind::Counter, Some("reason"))
}

impl Values {
    fn join(
        &mut self,
        pool: &Seen<'_>,
        label: &'static str,
        value: f64,
        join: fn(f64, f64) -> f64,
    ) {
        let key = (pool.explanation.service.to_string(), label);
        self.0.entry(key).and_modify(|old| *old = join(*old, value)).or_insert(value);
    }

    fn family(
        self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        label: Option<&'static str>,
    ) -> Family {
        let sample = |((service, value_of_label), value): ((String, &str), f64)| {
            let other = label.map(|name| (name, value_of_label.to_owned()));
            Sample { labels: [("service", service)].into_iter().chain(other).collect(), value }
        };
        Family { name, help, kind, samples: self.0.into_iter().map(sample).collect() }
    }
}

fn in_flight(explanation: &Explanation) -> Option<f64> {
    let members = explanation.instances.iter().filter_map(|it| it.member);
    Some(members.map(|member| f64::from(member.in_flight)).sum())
}

fn is_failing(explanation: &Explanation) -> Option<f64> {
    Some(flag(explanation.watched.failure.is_some()))
}

fn snapshot(explanation: &Explanation, value: impl Fn(&Snapshot) -> f64) -> Option<f64> {
    explanation.watched.snapshot.as_deref().map(value)
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

fn sum(one: f64, other: f64) -> f64 {
    one + other
}
