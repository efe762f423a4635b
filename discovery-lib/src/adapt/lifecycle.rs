//! A layer of tower for servers of other crates: what callers expect of an instance.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use pin_project_lite::pin_project;
use tower::Layer;
use tower_service::Service;

use crate::{
    Lifecycle,
    protocol::{Probe, close_during_shutdown, misdirected, not_allowed, sign, stands_for},
};

/// Makes an HTTP service of tower behave as [`serve::Server`](crate::serve) does for its callers: axum, or any other.
///
/// - Each response has [`Discovery-Instance`](crate::headers::INSTANCE) with the id of this instance, before those of its upstreams.
/// - A request whose [`Discovery-Service`](crate::headers::SERVICE) names another service gets 421, which callers try on another instance.
/// - During shutdown, each response of HTTP/1 has `Connection: close`, so that callers leave before the listener closes. One of HTTP/2 has not:
///   the server ends such a connection itself.
/// - `/health` is 200 while the process serves, `/ready` while callers can find the instance; otherwise it is 503, with
///   [`Discovery-Leaving`](crate::headers::LEAVING) during shutdown. These are answered before the service, unless
///   [`without_probes`](Self::without_probes).
///
/// It is to be the outermost layer, so that it sees every response. The body of the responses is made [`From`] [`Bytes`], as axum's `Body` and
/// `Full` are.
///
/// It neither accepts nor stops: before the first accept, call [`Lifecycle::set_accepting`], and serve until [`Lifecycle::drained`].
///
/// ```
/// use axum::{Router, routing::get};
/// use discovery::{Discovery, Registration, adapt::LifecycleLayer, shutdown_signal};
/// use tokio::{net::TcpListener, time::Duration};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("0.0.0.0:0").await?;
/// let registered = Discovery::from_env()?.register(Registration::new("web", listener.local_addr()?))?;
/// let app = Router::new().route("/", get(async || "hello\n"));
/// registered
///     .serve_until(shutdown_signal(), Duration::from_secs(2), async |lifecycle| {
///         let app = app.layer(LifecycleLayer::new(lifecycle.clone()));
///         lifecycle.set_accepting();
///         axum::serve(listener, app).with_graceful_shutdown(async move { lifecycle.drained().await }).await
///     })
///     .await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LifecycleLayer {
    lifecycle: Arc<Lifecycle>,
    has_probes: bool,
}

impl LifecycleLayer {
    /// A layer for the service of this registration.
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { lifecycle: Arc::new(lifecycle), has_probes: true }
    }

    /// Leaves `/health` and `/ready` to the service.
    #[must_use]
    pub fn without_probes(self) -> Self {
        Self { has_probes: false, ..self }
    }
}

impl<S> Layer<S> for LifecycleLayer {
    type Service = LifecycleService<S>;

    fn layer(&self, inner: S) -> LifecycleService<S> {
        LifecycleService { inner, layer: self.clone() }
    }
}

/// A service below a [`LifecycleLayer`].
#[derive(Debug, Clone)]
pub struct LifecycleService<S> {
    inner: S,
    layer: LifecycleLayer,
}

impl<S, A, B> Service<Request<A>> for LifecycleService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: From<Bytes>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = LifecycleFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let version = request.version();
        let step = match self.layer.response(&request) {
            Some(response) => Step::Own { response: Some(response) },
            None => Step::Inner { future: self.inner.call(request) },
        };
        LifecycleFuture { step, version, lifecycle: Arc::clone(&self.layer.lifecycle) }
    }
}

impl LifecycleLayer {
    /// The response to a request that is not for the service.
    fn response<A>(&self, request: &Request<A>) -> Option<Response<Bytes>> {
        misdirected(&self.lifecycle, request.headers()).or_else(|| self.probe(request))
    }

    fn probe<A>(&self, request: &Request<A>) -> Option<Response<Bytes>> {
        let is_asked = |probe: &Probe| self.has_probes && probe.path() == request.uri().path();
        let probe = Probe::ALL.into_iter().find(is_asked)?;
        Some(if stands_for(&Method::GET, request.method()) {
            probe.response(&self.lifecycle)
        } else {
            not_allowed(request.method(), [&Method::GET])
        })
    }
}

pin_project! {
    /// The response of a [`LifecycleService`] to come.
    #[derive(Debug)]
    pub struct LifecycleFuture<F> {
        #[pin]
        step: Step<F>,
        version: Version,
        lifecycle: Arc<Lifecycle>,
    }
}

pin_project! {
    #[project = StepProjection]
    #[derive(Debug)]
    enum Step<F> {
        /// None after it was returned.
        Own { response: Option<Response<Bytes>> },
        Inner { #[pin] future: F },
    }
}

impl<F, B, E> Future for LifecycleFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: From<Bytes>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.step.project() {
            StepProjection::Inner { future } => ready!(future.poll(cx))?,
            StepProjection::Own { response } => {
                response.take().expect("a future is not polled after its end").map(B::from)
            }
        };
        sign(this.lifecycle, response.headers_mut());
        if may_close(*this.version, response.status()) {
            close_during_shutdown(this.lifecycle, response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

/// Whether the response may have `Connection: close`: HTTP/2 has no such header, and a connection that is upgraded has another value of it.
fn may_close(version: Version, status: StatusCode) -> bool {
    version < Version::HTTP_2 && status != StatusCode::SWITCHING_PROTOCOLS
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        net::{Ipv4Addr, SocketAddr},
        time::Duration,
    };

    use http::header::CONNECTION;
    use http_body_util::{BodyExt, Full};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{
        Discovery, Registration, Settings, ShutdownSignal, agent::AgentSettings, headers::INSTANCE,
    };

    /// A layer of the service `web`, without an agent, after its shutdown has begun.
    async fn shutting_down() -> LifecycleLayer {
        // Nothing listens on port 1.
        let agent = AgentSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 2));
        let registration = Registration::new("web", address).id("web-1");
        let discovery = Discovery::new(Settings::new(agent)).unwrap();
        let registered = discovery.register(registration).unwrap();
        let lifecycle = registered.lifecycle();
        let (trigger, signals) = ShutdownSignal::manual();
        let drained = async |lifecycle: Lifecycle| lifecycle.drained().await;
        let hour = Duration::from_secs(3600);
        tokio::spawn(async move { registered.serve_until(signals, hour, drained).await });
        trigger.fire();
        lifecycle.shutdown().await;
        LifecycleLayer::new(lifecycle)
    }

    async fn respond(
        layer: LifecycleLayer,
        request: Request<()>,
        status: u16,
    ) -> Response<Full<Bytes>> {
        let inner = service_fn(move |_: Request<()>| async move {
            let body = Full::from("inner");
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        });
        layer.layer(inner).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn only_a_connection_that_may_be_closed_is_closed() {
        let layer = shutting_down().await;
        for (version, status, closes) in [
            (Version::HTTP_10, 200, true),
            (Version::HTTP_11, 200, true),
            (Version::HTTP_11, 101, false),
            (Version::HTTP_2, 200, false),
            (Version::HTTP_3, 200, false),
        ] {
            let request = Request::builder().version(version).body(()).unwrap();
            let response = respond(layer.clone(), request, status).await;
            assert_eq!(response.headers().contains_key(CONNECTION), closes, "{version:?} {status}");
            assert_eq!(response.headers()[INSTANCE], "web-1@");
        }
    }

    #[tokio::test]
    async fn the_probes_can_be_left_to_the_service() {
        let layer = shutting_down().await;
        for (layer, path, status, body) in [
            (layer.clone(), "/health", 200, "serving\n"),
            (layer.clone(), "/ready", 503, "shutting down\n"),
            (layer.clone(), "/healthy", 204, "inner"),
            (layer.clone().without_probes(), "/health", 204, "inner"),
            (layer.without_probes(), "/ready", 204, "inner"),
        ] {
            let response = respond(layer, Request::get(path).body(()).unwrap(), 204).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body, "{path}");
        }
    }
}
