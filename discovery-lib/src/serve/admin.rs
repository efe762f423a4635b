//! The admin routes of a server, on a separate listener: `/metrics` (feature `metrics`) and `/explain`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[cfg(feature = "metrics")]
use super::{metrics, statuses::Statuses};
use super::{routes::Routes, text, word::word};
use crate::{Lifecycle, Pool};

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
        let body = format!("{:#}\n", explain(&lifecycle, &pools));
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
            let page = metrics::page(&lifecycle, &statuses, &pools);
            async move { page.response(&request.head.headers) }
        });
        self
    }
}

pub(super) fn typed(body: String, content_type: &'static str) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The registration, and for each pool the data by which the next call chooses an instance.
fn explain(lifecycle: &Lifecycle, pools: &[Pool]) -> Value {
    json!({
        "service": lifecycle.service(),
        "id": lifecycle.id().as_str(),
        "node": lifecycle.node(),
        "registration": word(lifecycle.state()),
        "ready": lifecycle.is_ready(),
        "calls": pools.iter().map(Pool::explain).collect::<Vec<_>>(),
    })
}
