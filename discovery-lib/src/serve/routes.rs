//! Routes by exact path and method, and a fallback for other paths; 404 and 405 for the rest.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use super::{Request, text};
use crate::{
    Lifecycle,
    protocol::{Probe, not_allowed, stands_for},
};

type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;
type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// Methods that get 405 where no handler has them; others get 501. CONNECT is for proxies.
const COMMON: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
];

/// Handlers by path and method.
#[derive(Clone, Default)]
pub(super) struct Routes {
    by_path: BTreeMap<String, Vec<(Method, Handler)>>,
    /// Those of all other paths.
    fallback: Vec<(Method, Handler)>,
}

impl Routes {
    pub(super) fn add<H, A>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.by_path.entry(path.to_owned()).or_default().push((method, boxed(handler)));
    }

    pub(super) fn add_fallback<H, A>(&mut self, method: Method, handler: H)
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.fallback.push((method, boxed(handler)));
    }

    /// Adds `/health` and `/ready`.
    pub(super) fn with_health(mut self, lifecycle: &Lifecycle) -> Self {
        for probe in Probe::ALL {
            let lifecycle = lifecycle.clone();
            self.add(Method::GET, probe.path(), move |_| {
                let response = probe.response(&lifecycle);
                async { response }
            });
        }
        self
    }

    pub(super) async fn answer(&self, request: Request) -> Response<Bytes> {
        if !self.supports(&request.head.method) {
            return text(
                StatusCode::NOT_IMPLEMENTED,
                format!("unknown method: {}\n", request.head.method),
            );
        }
        if request.head.uri.path() == "*" {
            // OPTIONS of the server as a whole: some clients use it as a ping.
            return text(StatusCode::NO_CONTENT, "");
        }
        let methods = self.by_path.get(request.head.uri.path()).unwrap_or(&self.fallback);
        if methods.is_empty() {
            return text(
                StatusCode::NOT_FOUND,
                format!("no such path: {}\n", request.head.uri.path()),
            );
        }
        match methods.iter().find(|(method, _)| stands_for(method, &request.head.method)) {
            Some((_, handler)) => handler(request).await,
            None => not_allowed(&request.head.method, methods.iter().map(|(method, _)| method)),
        }
    }

    /// Whether it is a common method, or one that a route has.
    fn supports(&self, method: &Method) -> bool {
        let all = self.by_path.values().flatten().chain(&self.fallback);
        COMMON.contains(method) || all.into_iter().any(|(registered, _)| registered == method)
    }
}

fn boxed<H, A>(handler: H) -> Handler
where
    H: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Bytes>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(handler(request)))
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_path.keys()).finish()
    }
}
