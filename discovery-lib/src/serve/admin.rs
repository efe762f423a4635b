//! The admin routes of a server, on a separate listener: `/metrics` (feature `metrics`) and `/explain`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

#[cfg(feature = "metrics")]
use super::{format::Format, metrics, statuses::Statuses};
use super::{routes::Routes, text, word::word};
use crate::{Explained, Lifecycle, Pool};

/// Few clients: scrapers and operators.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// The listener, and the pools that are included.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) listener: TcpListener,
    pub(super) pools: Vec<Pool>,
}

pub(super) fn routes(lifecycle: Lifecycle, pools: Arc<[Pool]>) -> Routes {
    let mut routes = Routes::default();
    routes.add(Method::GET, "/explain", move |_| {
        let body = format!("{:#}\n", explain(&lifecycle, &pools, Instant::now()));
        async { typed(body, "application/json") }
    });
    routes
}

#[cfg(feature = "metrics")]
impl Routes {
    /// Adds `/metrics`.
    pub(super) fn with_metrics(
        mut self,
        lifecycle: Lifecycle,
        statuses: Arc<Statuses>,
        pools: Arc<[Pool]>,
    ) -> Self {
        self.add(Method::GET, "/metrics", move |request| {
            let format = Format::wanted(&request.head.headers);
            let body = metrics::render(&lifecycle, &statuses, &pools, format);
            async move { typed(body, format.content_type()) }
        });
        self
    }
}

fn typed(body: String, content_type: &'static str) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The registration, and for each pool the data by which the next call chooses an instance.
fn explain(lifecycle: &Lifecycle, pools: &[Pool], now: Instant) -> Value {
    json!({
        "service": lifecycle.service(),
        "id": lifecycle.id().as_str(),
        "node": lifecycle.node(),
        "registration": word(lifecycle.state()),
        "ready": lifecycle.is_ready(),
        "calls": pools.iter().map(|pool| explain_pool(pool, now)).collect::<Vec<_>>(),
    })
}

fn explain_pool(pool: &Pool, now: Instant) -> Value {
    let explanation = pool.explain();
    let watched = explanation.watched;
    let snapshot = watched.snapshot.map(|snapshot| {
        json!({
            "origin": word(snapshot.origin),
            "index": snapshot.index,
            "age_ms": millis(snapshot.age(now)),
        })
    });
    json!({
        "service": &**pool.service(),
        "snapshot": snapshot,
        "failure": watched.failure.map(|err| err.to_string()),
        "instances": explanation.instances.iter().map(|it| explain_instance(it, now)).collect::<Vec<_>>(),
    })
}

fn explain_instance(explained: &Explained, now: Instant) -> Value {
    let Explained { instance, member } = explained;
    let left = |until: Option<Instant>| until.map(|at| millis(at.saturating_duration_since(now)));
    json!({
        "address": instance.to_string(),
        "id": instance.id.as_str(),
        "node": &*instance.node,
        "status": instance.status.to_string(),
        "weight": instance.weight(),
        "rank": member.map(|member| word(member.rank)),
        "latency_ms": member.and_then(|member| member.latency).map(|latency| latency.as_secs_f64() * 1e3),
        "in_flight": member.map(|member| member.in_flight),
        "ejected_for_ms": left(member.and_then(|member| member.ejected_until)),
        "reserve_for_ms": left(member.and_then(|member| member.reserve_until)),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
