//! Explanations as JSON and other formats. The field names are stable: they are those of the admin listener's `/explain`.

use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::{Explained, Explanation};
use crate::{Origin, Rank};

#[derive(Serialize)]
struct ExplanationFields<'a> {
    service: &'a str,
    snapshot: Option<SnapshotFields>,
    failure: Option<String>,
    instances: Vec<InstanceFields<'a>>,
}

#[derive(Serialize)]
struct SnapshotFields {
    origin: String,
    index: u64,
    age_ms: u64,
}

#[derive(Serialize)]
struct InstanceFields<'a> {
    address: String,
    id: &'a str,
    node: &'a str,
    status: String,
    weight: u16,
    rank: Option<Rank>,
    latency_ms: Option<f64>,
    in_flight: Option<u32>,
    ejected_for_ms: Option<u64>,
    reserve_for_ms: Option<u64>,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let snapshot = self.watched.snapshot.as_ref().map(|snapshot| SnapshotFields {
            origin: origin(snapshot.origin),
            index: snapshot.index,
            age_ms: millis(snapshot.age(self.at)),
        });
        let fields = ExplanationFields {
            service: &self.service,
            snapshot,
            failure: self.watched.failure.as_ref().map(ToString::to_string),
            instances: self.instances.iter().map(|it| instance(it, self.at)).collect(),
        };
        fields.serialize(serializer)
    }
}

fn instance(explained: &Explained, now: Instant) -> InstanceFields<'_> {
    let Explained { instance, member } = explained;
    let left = |until: Option<Instant>| until.map(|at| millis(at.saturating_duration_since(now)));
    InstanceFields {
        address: instance.to_string(),
        id: instance.id.as_str(),
        node: &instance.node,
        status: instance.status.to_string(),
        weight: instance.weight(),
        rank: member.map(|member| member.rank),
        latency_ms: member.and_then(|it| it.latency).map(|latency| latency.as_secs_f64() * 1e3),
        in_flight: member.map(|member| member.in_flight),
        ejected_for_ms: left(member.and_then(|member| member.ejected_until)),
        reserve_for_ms: left(member.and_then(|member| member.reserve_until)),
    }
}

/// The variant in lower case.
fn origin(origin: Origin) -> String {
    format!("{origin:?}").to_lowercase()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
