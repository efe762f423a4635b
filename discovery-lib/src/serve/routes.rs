//! What is answered where: exact paths, and 404 and 405 for the rest.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{Request, text};
use crate::{Lifecycle, headers::LEAVING, registration::RegistrationState};

type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;
type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// Not allowed rather than not known, where no handler has them. CONNECT is for proxies.
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
pub(super) struct Routes(BTreeMap<String, Vec<(Method, Handler)>>);

impl Routes {
    pub(super) fn add<H, A>(&mut self, method: Method, path: &str, handler: H)
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.0.entry(path.to_owned()).or_default().push((method, handler));
    }

    /// With the two paths by which others learn how this process stands. `/health` says that it serves, whatever Consul or its upstreams do;
    /// `/ready`, whether others find it.
    pub(super) fn with_health(mut self, lifecycle: &Lifecycle) -> Self {
        let lifecycle = lifecycle.clone();
        self.add(Method::GET, "/health", async |_| text(StatusCode::OK, "serving\n"));
        self.add(Method::GET, "/ready", move |_| {
            let answer = readiness(&lifecycle);
            async { answer }
        });
        self
    }

    pub(super) async fn answer(&self, request: Request) -> Response<Bytes> {
        if !self.knows(&request.head.method) {
            return text(
                StatusCode::NOT_IMPLEMENTED,
                format!("no such method here: {}\n", request.head.method),
            );
        }
        if request.head.uri.path() == "*" {
            // OPTIONS of the server as a whole, as some ask to learn whether it lives.
            return text(StatusCode::NO_CONTENT, "");
        }
        let Some(methods) = self.0.get(request.head.uri.path()) else {
            return text(
                StatusCode::NOT_FOUND,
                format!("no such path: {}\n", request.head.uri.path()),
            );
        };
        match methods.iter().find(|(method, _)| stands_for(method, &request.head.method)) {
            Some((_, handler)) => handler(request).await,
            None => not_allowed(&request.head.method, methods),
        }
    }

    /// Whether it is a method that any path here, or elsewhere, could have.
    fn knows(&self, method: &Method) -> bool {
        COMMON.contains(method)
            || self.0.values().flatten().any(|(registered, _)| registered == method)
    }
}

fn readiness(lifecycle: &Lifecycle) -> Response<Bytes> {
    match (lifecycle.is_ready(), lifecycle.is_shutting_down()) {
        (true, _) => text(StatusCode::OK, "ready\n"),
        (false, false) => text(StatusCode::SERVICE_UNAVAILABLE, not_ready(lifecycle.state())),
        (false, true) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "leaving\n");
            response.headers_mut().insert(LEAVING, HeaderValue::from_static("true"));
            response
        }
    }
}

fn not_ready(state: RegistrationState) -> &'static str {
    match state {
        RegistrationState::Replaced => "another run took its id\n",
        RegistrationState::Refused => "its registration is refused\n",
        _ => "not registered yet\n",
    }
}

/// A GET that is answered is a HEAD that is answered: the server leaves the body away.
fn stands_for(registered: &Method, asked: &Method) -> bool {
    registered == asked || (registered == Method::GET && asked == Method::HEAD)
}

fn not_allowed(asked: &Method, methods: &[(Method, Handler)]) -> Response<Bytes> {
    let mut allowed = Vec::new();
    for (method, _) in methods {
        allowed.push(method.as_str());
        if *method == Method::GET {
            allowed.push(Method::HEAD.as_str());
        }
    }
    let allowed = allowed.join(", ");
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("{asked} is not for this path: {allowed}\n"));
    let value = allowed.parse().expect("methods are tokens, which are header values");
    response.headers_mut().insert(header::ALLOW, value);
    response
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
