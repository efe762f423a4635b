//! The metrics of a server, its registration and its pools, as text for Prometheus. They are read from existing state at each scrape.

use bytes::Bytes;
use http::{HeaderMap, Response};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tracing::error;

use super::{admin::typed, format::Format, statuses::Statuses, word::word};
use crate::{
    Lifecycle, Pool,
    metrics::{Collector, Metrics},
    registration::RegistrationState,
};

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
type Labels = Vec<(&'static str, String)>;

/// Metrics as a page, for `/metrics` of an [`AdminServer`](super::AdminServer).
#[derive(Debug)]
pub struct MetricsPage(Registry);

impl MetricsPage {
    /// A page of these metrics.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collector::new(move || metrics.clone())));
        Self(registry)
    }

    /// For more metrics.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.0
    }

    /// The response to a scrape with these headers, in the format that it prefers.
    #[must_use]
    pub fn response(&self, headers: &HeaderMap) -> Response<Bytes> {
        let format = Format::wanted(headers);
        typed(text(&self.0, format), format.content_type())
    }
}

/// The metrics of a server, its registration and its pools, as of now.
pub(super) fn page(lifecycle: &Lifecycle, statuses: &Statuses, pools: &[Pool]) -> MetricsPage {
    let mut page = MetricsPage::new(Metrics::of_pools(pools));
    let registry = page.registry().sub_registry_with_prefix("discovery");
    registry.register("requests", "Requests answered, by status", requests(statuses));
    registry.register(
        "registration",
        "1 for the state of the registration",
        registration(lifecycle),
    );
    page
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
