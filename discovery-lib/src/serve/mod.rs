//! A small HTTP/1 server for a service: exact paths and a fallback, whole responses, graceful shutdown.
//!
//! It implements what the clients of this library expect: `/health` and `/ready`, `Discovery-Instance` in every response, 421 for a request
//! to another service, and `Connection: close` while it shuts down. It serves until it is drained, so responses of handlers never have
//! `Discovery-Leaving`; only `/ready` does. Streams, TLS and HTTP/2 are not supported: use another server, below a layer that does the same
//! ([`adapt`](crate::adapt)).

mod accept;
mod admin;
mod admin_server;
mod answer;
#[cfg(feature = "metrics")]
mod format;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(test)]
mod raw;
mod routes;
mod statuses;
#[cfg(test)]
mod tests;
mod word;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use tokio::net::TcpListener;
use tracing::info;

use crate::{Lifecycle, Pool, protocol};
use admin::Admin;
pub use admin_server::AdminServer;
use answer::Answers;
#[cfg(feature = "metrics")]
pub use metrics::MetricsPage;
use routes::Routes;
use statuses::Statuses;

/// A request, read to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Method, path, headers.
    pub head: Parts,
    /// At most 1 MiB.
    pub body: Bytes,
    /// The client's end of the connection. An IPv4-mapped address is given as IPv4.
    pub remote: SocketAddr,
    /// This end of the connection.
    pub local: SocketAddr,
}

impl Request {
    /// A request as a test of a handler needs it. The server makes those of its handlers.
    #[must_use]
    pub fn new(head: Parts, body: Bytes, remote: SocketAddr, local: SocketAddr) -> Self {
        Self { head, body, remote, local }
    }
}

/// A response in plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    protocol::text(status, body)
}

/// An HTTP server with its routes. Other paths get 404 (unless there is a [fallback](Self::fallback)), other methods 405.
///
/// ```no_run
/// use discovery::{Discovery, Registration, serve::{Server, text}, shutdown_signal};
/// use tokio::{net::TcpListener, time::Duration};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("0.0.0.0:0").await?;
/// let registered = Discovery::from_env()?.register(Registration::new("hello", listener.local_addr()?))?;
/// let server = Server::new().get("/", async |request| text(http::StatusCode::OK, format!("hello {}\n", request.remote)));
/// registered.serve_until(shutdown_signal(), Duration::from_secs(2), |lifecycle| server.run(listener, lifecycle)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Server {
    routes: Routes,
    admin: Option<Admin>,
}

impl Server {
    /// A server with `/health` and `/ready`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for GET, and HEAD with it, at exactly this path.
    #[must_use]
    pub fn get<H, A>(self, path: &str, handler: H) -> Self
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.on(Method::GET, path, handler)
    }

    /// Adds a handler for a method at exactly this path.
    #[must_use]
    pub fn on<H, A>(mut self, method: Method, path: &str, handler: H) -> Self
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.routes.add(method, path, handler);
        self
    }

    /// Adds a handler for a method at all paths that no other handler has, such as `/users/7`. With one, there is no 404 but its own.
    ///
    /// ```
    /// use discovery::serve::{Server, text};
    /// use http::{Method, StatusCode};
    ///
    /// let server = Server::new().fallback(Method::GET, async |request| match request.head.uri.path().strip_prefix("/users/") {
    ///     Some(user) => text(StatusCode::OK, format!("{user}\n")),
    ///     None => text(StatusCode::NOT_FOUND, "no such path\n"),
    /// });
    /// ```
    #[must_use]
    pub fn fallback<H, A>(mut self, method: Method, handler: H) -> Self
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.routes.add_fallback(method, handler);
        self
    }

    /// Serves `/metrics` (Prometheus text; OpenMetrics to a client whose Accept prefers it) and `/explain` (JSON) on a separate listener, if
    /// there is one: of this server, its registration, and the pools that it calls.
    #[must_use]
    pub fn admin(
        mut self,
        listener: impl Into<Option<TcpListener>>,
        pools: impl IntoIterator<Item = Pool>,
    ) -> Self {
        let pools = pools.into_iter().collect();
        self.admin = listener.into().map(|listener| Admin { listener, pools });
        self
    }

    /// Serves until it is drained, then finishes what is in flight, for at most 10 s.
    ///
    /// Sets the listener's backlog to 1024. A handler is not cancelled when its client disconnects. Timeouts: 10 s for a head from its first
    /// byte, 90 s for an idle connection. At most 8192 connections, or half of the process's descriptor limit; at the limit, connections
    /// without a request in progress are closed.
    ///
    /// Dropping the future aborts the requests in flight.
    pub async fn run(self, listener: TcpListener, lifecycle: Lifecycle) {
        let statuses = Arc::new(Statuses::default());
        let answers = |routes: Routes, statuses| Answers {
            routes: routes.with_health(&lifecycle),
            statuses,
            lifecycle: Some(lifecycle.clone()),
        };
        if let Ok(at) = listener.local_addr() {
            info!(service = %lifecycle.service(), instance = %lifecycle.id(), %at, "serving");
        }
        lifecycle.set_accepting();
        let main = answers(self.routes, Arc::clone(&statuses));
        let main = accept::serve(listener, main, accept::CONNECTIONS_MAX, lifecycle.drained());
        match self.admin {
            None => main.await,
            Some(Admin { listener, pools }) => {
                let pools: Arc<[Pool]> = pools.into();
                let routes = admin::routes(lifecycle.clone(), pools.clone());
                #[cfg(feature = "metrics")]
                let routes = routes.with_metrics(lifecycle.clone(), statuses, pools);
                let admin = answers(routes, Arc::default());
                let drained = lifecycle.drained();
                tokio::join!(main, accept::serve(listener, admin, admin::CONNECTIONS_MAX, drained));
            }
        }
    }
}
