//! The metrics of a server, its registration and its pools, as text for Prometheus. They are read from existing state at each scrape.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::{HeaderMap, Response};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::Instant;
use tracing::error;

use super::{admin::typed, format::Format, statuses::Statuses, word::word};
use crate::{Lifecycle, Origin, Pool, Rank, registration::RegistrationState};

/// Every state has a series, so that a state that ended goes to 0.
const STATES: [RegistrationState; 9] = [
    RegistrationState::Probing,
    RegistrationState::Registering,
    RegistrationState::Refused,
    RegistrationState::Registered,
    RegistrationState::Ready,
    RegistrationState::Replaced,
    RegistrationState::Leaving,
    RegistrationState::Left,
    RegistrationState::Abandoned,
];
const RANKS: [Rank; 5] = [Rank::Passing, Rank::Warning, Rank::Spare, Rank::Ejected, Rank::Reserve];

type Labels = Vec<(&'static str, String)>;

/// The metrics of a program, as of now, for `/metrics` of an [`AdminServer`](super::AdminServer). All names begin with `discovery_`.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// The members of these pools by rank, and the age of their last answer.
    pub fn of_pools(pools: &[Pool]) -> Self {
        let mut registry = Registry::with_prefix("discovery");
        register_pools(&mut registry, pools);
        Self(registry)
    }

    /// For more metrics.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.0
    }

    /// The response to a scrape with these headers, in the format that it prefers.
    pub fn response(&self, headers: &HeaderMap) -> Response<Bytes> {
        let format = Format::wanted(headers);
        typed(text(&self.0, format), format.content_type())
    }
}

/// All metrics of a server, as of now.
pub(super) fn render(
    lifecycle: &Lifecycle,
    statuses: &Statuses,
    pools: &[Pool],
    format: Format,
) -> String {
    let mut registry = Registry::with_prefix("discovery");
    registry.register("requests", "Requests answered, by status", requests(statuses));
    registry.register(
        "registration",
        "1 for the state of the registration",
        registration(lifecycle),
    );
    register_pools(&mut registry, pools);
    text(&registry, format)
}

fn register_pools(registry: &mut Registry, pools: &[Pool]) {
    registry.register("members", "Members of a pool, by rank", members(pools));
    registry.register(
        "snapshot_age_seconds",
        "Age of the last answer about the instances of a service",
        ages(pools),
    );
    registry.register(
        "snapshot_from_disk",
        "1 if the instances of a service are those from disk, since there was no answer yet",
        from_disk(pools),
    );
    registry.register(
        "hidden_by_acls",
        "1 if ACLs hide records of a service from the token, as far as Consul says so",
        hidden(pools),
    );
}

fn text(registry: &Registry, format: Format) -> String {
    let mut body = String::new();
    if let Err(err) = encode(&mut body, registry) {
        error!(error = %err, "encoding of metrics failed");
    }
    format.of_openmetrics(body)
}

fn requests(statuses: &Statuses) -> Family<Labels, Counter> {
    let requests = Family::<Labels, Counter>::default();
    for (status, count) in statuses.counted() {
        requests.get_or_create(&vec![("status", status.to_string())]).inc_by(count);
    }
    requests
}

fn registration(lifecycle: &Lifecycle) -> Family<Labels, Gauge> {
    let registration = Family::<Labels, Gauge>::default();
    for state in STATES {
        let is_now = lifecycle.state() == state;
        registration.get_or_create(&vec![("state", word(state))]).set(is_now.into());
    }
    registration
}

fn members(pools: &[Pool]) -> Family<Labels, Gauge> {
    let members = Family::<Labels, Gauge>::default();
    for pool in pools {
        let ranks: Vec<_> =
            pool.explain().instances.iter().filter_map(|it| it.member).map(|it| it.rank).collect();
        for rank in RANKS {
            let label = vec![("service", pool.service().to_string()), ("rank", word(rank))];
            let count = ranks.iter().filter(|it| **it == rank).count();
            members.get_or_create(&label).set(count.try_into().unwrap_or(i64::MAX));
        }
    }
    members
}

fn ages(pools: &[Pool]) -> Family<Labels, Gauge<f64, AtomicU64>> {
    let ages = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for pool in pools {
        if let Some(snapshot) = pool.explain().watched.snapshot {
            let age = snapshot.age(Instant::now());
            let label = vec![("service", pool.service().to_string())];
            ages.get_or_create(&label).set(age.as_secs_f64());
        }
    }
    ages
}

fn from_disk(pools: &[Pool]) -> Family<Labels, Gauge> {
    let from_disk = Family::<Labels, Gauge>::default();
    for pool in pools {
        if let Some(snapshot) = pool.explain().watched.snapshot {
            let label = vec![("service", pool.service().to_string())];
            from_disk.get_or_create(&label).set((snapshot.origin == Origin::Disk).into());
        }
    }
    from_disk
}

fn hidden(pools: &[Pool]) -> Family<Labels, Gauge> {
    let hidden = Family::<Labels, Gauge>::default();
    for pool in pools {
        if let Some(snapshot) = pool.explain().watched.snapshot {
            let label = vec![("service", pool.service().to_string())];
            hidden.get_or_create(&label).set(snapshot.is_filtered_by_acls().into());
        }
    }
    hidden
}
