//! Explanations as data that leaves the process: JSON and other formats, and a page for operators.
//!
//! The field names are stable: they are those of the admin listener's `/explain`. A field that another version does not send is empty.

mod page;

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use tokio::time::Instant;

use super::{Explained, Explanation};
use crate::{Origin, Rank, Snapshot};

/// An [`Explanation`] with times relative to it: one program serializes it, another one reads it. Its `Display` is a page for operators.
///
/// ```
/// # use discovery::{Pool, Report};
/// let pool = Pool::fixed("web", ["127.0.0.1:80".parse().unwrap()]);
/// let json = serde_json::to_string(&pool.explain()).unwrap();
/// let report: Report = serde_json::from_str(&json).unwrap();
/// assert!(report.to_string().starts_with("web: the next call goes to its only passing instance\n"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    service: String,
    snapshot: Option<Freshness>,
    failure: Option<String>,
    instances: Vec<Line>,
    #[serde(default)]
    left_out: Vec<Unusable>,
}

/// The last answer, without its instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Freshness {
    origin: String,
    index: u64,
    age_ms: u64,
    #[serde(default)]
    filtered_by_acls: bool,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    address: String,
    id: String,
    node: String,
    #[serde(default)]
    datacenter: Option<String>,
    status: String,
    weight: u16,
    rank: Option<Rank>,
    latency_ms: Option<f64>,
    in_flight: Option<u32>,
    #[serde(default)]
    ejected_since_ms: Option<u64>,
    ejected_for_ms: Option<u64>,
    #[serde(default)]
    ejected_because: Option<String>,
    reserve_for_ms: Option<u64>,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Check {
    name: String,
    status: String,
    output: String,
}

/// A record that can't be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unusable {
    node: String,
    id: String,
    why: String,
}

impl Report {
    /// The service that it explains.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether there is an instance for the next call.
    #[must_use]
    pub fn has_member(&self) -> bool {
        self.instances.iter().any(|it| it.rank.is_some())
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Report::from(self).serialize(serializer)
    }
}

impl From<&Explanation> for Report {
    fn from(explanation: &Explanation) -> Self {
        let Explanation { service, at, watched, instances } = explanation;
        let snapshot = watched.snapshot.as_deref();
        let left_out = snapshot.map(Snapshot::left_out).unwrap_or_default().iter();
        let unusable = left_out.map(|it| Unusable {
            node: it.node.clone(),
            id: it.id.clone(),
            why: it.why.clone(),
        });
        Self {
            service: service.to_string(),
            snapshot: snapshot.map(|snapshot| Freshness {
                origin: origin(snapshot.origin),
                index: snapshot.index,
                age_ms: millis(snapshot.age(*at)),
                filtered_by_acls: snapshot.is_filtered_by_acls(),
            }),
            failure: watched.failure.as_ref().map(ToString::to_string),
            instances: instances.iter().map(|it| line(it, snapshot, *at)).collect(),
            left_out: unusable.collect(),
        }
    }
}

fn line(explained: &Explained, snapshot: Option<&Snapshot>, now: Instant) -> Line {
    let Explained { instance, member } = explained;
    let left = |until: Instant| millis(until.saturating_duration_since(now));
    let ejection = member.and_then(|member| member.ejection);
    let checks = snapshot.map(|snapshot| snapshot.checks(instance)).unwrap_or_default();
    Line {
        address: instance.to_string(),
        id: instance.id.to_string(),
        node: instance.node.to_string(),
        datacenter: instance.datacenter.as_deref().map(str::to_owned),
        status: instance.status.to_string(),
        weight: instance.weight(),
        rank: member.map(|member| member.rank),
        latency_ms: member.and_then(|it| it.latency).map(|latency| latency.as_secs_f64() * 1e3),
        in_flight: member.map(|member| member.in_flight),
        ejected_since_ms: ejection.map(|it| millis(now.saturating_duration_since(it.since))),
        ejected_for_ms: ejection.map(|it| left(it.until)),
        ejected_because: ejection.map(|it| it.cause.to_string()),
        reserve_for_ms: member.and_then(|member| member.reserve_until).map(left),
        checks: checks
            .iter()
            .map(|it| Check {
                name: it.name.clone(),
                status: it.status.to_string(),
                output: it.output.clone(),
            })
            .collect(),
    }
}

/// The variant in lower case.
fn origin(origin: Origin) -> String {
    format!("{origin:?}").to_lowercase()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
