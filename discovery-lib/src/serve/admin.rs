//! What a server tells of itself on a listener apart: numbers for machines, reasons for people.

use std::{fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

use super::{format::Format, metrics, routes::Routes, statuses::Statuses, text};
use crate::{Explained, Lifecycle, Pool};

/// Few ask: what collects numbers, and people.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// Where it is told, and of whom besides the server itself.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) listener: TcpListener,
    pub(super) pools: Vec<Pool>,
}

pub(super) fn routes(lifecycle: Lifecycle, statuses: Arc<Statuses>, pools: Vec<Pool>) -> Routes {
    let pools: Arc<[Pool]> = pools.into();
    let mut routes = Routes::default();
    let (known, explained) = (lifecycle.clone(), pools.clone());
    routes.add(Method::GET, "/metrics", move |request| {
        let format = Format::wanted(&request.head.headers);
        let body = metrics::render(&known, &statuses, &explained, format);
        async move { typed(body, format.content_type()) }
    });
    routes.add(Method::GET, "/explain", move |_| {
        let body = format!("{:#}\n", explain(&lifecycle, &pools, Instant::now()));
        async { typed(body, "application/json") }
    });
    routes
}

fn typed(body: String, content_type: &'static str) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Who this is, and why its next call to each service would go where it goes.
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

/// A plain variant as a word: `Ready` is `ready`.
pub(super) fn word(variant: impl Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
