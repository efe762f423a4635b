//! What operators and scrapers ask a running ambassador: `/ready`, `/explain`, `/metrics`.

use std::sync::Arc;

use bytes::Bytes;
use discovery::{
    Pool,
    metrics::Metrics,
    serve::{AdminServer, MetricsPage, text},
};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    connection_limit::ConnectionLimit,
    metrics,
    route::ActiveRoute,
    worker::{Plan, Stage},
};

/// A view of a running ambassador, for its admin listener.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) plan_rx: watch::Receiver<Plan>,
    pub(crate) limit: Arc<ConnectionLimit>,
}

/// The routes of the admin listener.
pub(crate) fn server(view: &View) -> AdminServer {
    let (ready, explain, metrics) = (view.clone(), view.clone(), view.clone());
    AdminServer::new()
        .get("/health", async |_| text(StatusCode::OK, "serving\n"))
        .get("/ready", move |_| {
            let answer = ready.ready();
            async { answer }
        })
        .get("/explain", move |_| {
            let answer = explain.explain();
            async { answer }
        })
        .get("/metrics", move |request| {
            let answer = metrics.metrics(&request.head.headers);
            async { answer }
        })
}

impl View {
    fn routes(&self) -> Arc<[Arc<ActiveRoute>]> {
        Arc::clone(&self.plan_rx.borrow().routes)
    }

    /// 200 once every route knows its instances, until it drains.
    fn ready(&self) -> Response<Bytes> {
        let Plan { routes, stage } = self.plan_rx.borrow().clone();
        if stage == Stage::Draining {
            return text(StatusCode::SERVICE_UNAVAILABLE, "leaving\n");
        }
        let is_waiting = |route: &&Arc<ActiveRoute>| route.pool.as_ref().is_some_and(is_unknown);
        match routes.iter().find(is_waiting) {
            None => text(StatusCode::OK, "ready\n"),
            Some(route) => {
                let why = format!("no answer yet about {}\n", route.service());
                text(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }

    fn explain(&self) -> Response<Bytes> {
        let routes: Vec<_> = self.routes().iter().map(|route| explained(route)).collect();
        let limits = json!({ "connections": self.limit.in_use(), "max": self.limit.max() });
        let body = format!("{:#}\n", json!({ "total": limits, "routes": routes }));
        let mut response = text(StatusCode::OK, body);
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        response
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Bytes> {
        let routes = self.routes();
        let mut pools: Vec<Pool> = Vec::new();
        for pool in routes.iter().filter_map(|route| route.pool.as_ref()) {
            if !pools.iter().any(|other| other.service() == pool.service()) {
                pools.push(pool.clone());
            }
        }
        let mut page = MetricsPage::new(Metrics::of_pools(&pools));
        let registry = page.registry().sub_registry_with_prefix("discovery");
        metrics::register(registry, &routes, &self.limit);
        page.response(headers)
    }
}

/// Whether nothing is known about its instances yet.
fn is_unknown(pool: &Pool) -> bool {
    pool.explain().watched.snapshot.is_none()
}

fn explained(route: &ActiveRoute) -> Value {
    json!({
        "listen": route.listeners.at.to_string(),
        "target": route.config.target.to_string(),
        "connections": route.limit.in_use(),
        "max": route.limit.max(),
        "calls": route.pool.as_ref().map(Pool::explain),
    })
}
