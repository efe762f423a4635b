//! A service of axum that callers find by name. In three terminals:
//!
//! ```text
//! discovery agent
//! cargo run -p axum-example
//! cargo run -p tower-example -- http://axum-example/
//! ```

use std::io;

use axum::{Router, routing::get};
use discovery::{Lifecycle, adapt::LifecycleLayer};
use tokio::net::TcpListener;

/// The routes of the service.
pub fn app() -> Router {
    Router::new().route("/", get(async || "hello from axum\n"))
}

/// Serves until the lifecycle is drained, then finishes the requests in flight.
///
/// # Errors
/// As [`axum::serve()`].
pub async fn serve(listener: TcpListener, app: Router, lifecycle: Lifecycle) -> io::Result<()> {
    let app = app.layer(LifecycleLayer::new(lifecycle.clone()));
    lifecycle.set_accepting();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { lifecycle.drained().await })
        .await
}
