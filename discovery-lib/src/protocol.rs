//! What an HTTP server of an instance does for its callers, whichever library it is made with: the one of [`serve`](crate::serve), and any
//! other below a layer of [`adapt`](crate::adapt). The headers themselves are in [`headers`](crate::headers).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use crate::{
    Lifecycle,
    headers::{INSTANCE, LEAVING, SERVICE},
    registration::RegistrationState,
};

/// A response in plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// A path that each instance has, for GET and HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// 200 while the process serves, regardless of Consul and upstreams.
    Health,
    /// 200 while callers can find the instance in Consul.
    Ready,
}

impl Probe {
    pub(crate) const ALL: [Self; 2] = [Self::Health, Self::Ready];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Ready => "/ready",
        }
    }

    pub(crate) fn response(self, lifecycle: &Lifecycle) -> Response<Bytes> {
        match self {
            Self::Health => text(StatusCode::OK, "serving\n"),
            Self::Ready => readiness(lifecycle),
        }
    }
}

fn readiness(lifecycle: &Lifecycle) -> Response<Bytes> {
    match (lifecycle.is_ready(), lifecycle.is_shutting_down()) {
        (true, _) => text(StatusCode::OK, "ready\n"),
        (false, false) => text(StatusCode::SERVICE_UNAVAILABLE, not_ready(lifecycle.state())),
        (false, true) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
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

/// 421 for a request to another service. Addresses are reused: requests may still arrive for the service that had this one before.
pub(crate) fn misdirected(lifecycle: &Lifecycle, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let (service, meant) = (lifecycle.service(), headers.get(SERVICE)?);
    (!meant.as_bytes().eq_ignore_ascii_case(service.as_bytes()))
        .then(|| text(StatusCode::MISDIRECTED_REQUEST, format!("this is {service}\n")))
}

/// A handler of GET serves HEAD too: hyper omits the body.
pub(crate) fn stands_for(registered: &Method, asked: &Method) -> bool {
    registered == asked || (registered == Method::GET && asked == Method::HEAD)
}

/// 405, with the methods that the path has.
pub(crate) fn not_allowed<'a>(
    asked: &Method,
    methods: impl IntoIterator<Item = &'a Method>,
) -> Response<Bytes> {
    let mut allowed = Vec::new();
    for method in methods {
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

/// Puts the name of this instance before those of upstream instances.
///
/// Only a handler knows whether it served the request, so `Discovery-Leaving` is not added to its response.
pub(crate) fn sign(lifecycle: &Lifecycle, headers: &mut HeaderMap) {
    if let Some(own) = own_name(lifecycle) {
        let others: Vec<_> = headers.get_all(INSTANCE).iter().cloned().collect();
        headers.insert(INSTANCE, own);
        for other in others {
            headers.append(INSTANCE, other);
        }
    }
}

/// Closes the connection of a response of HTTP/1 during shutdown.
pub(crate) fn close_during_shutdown(lifecycle: &Lifecycle, headers: &mut HeaderMap) {
    if lifecycle.is_shutting_down() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// `<id>@<node>`; before the node is known, `<id>@`. None for an id that is not a valid header value.
fn own_name(lifecycle: &Lifecycle) -> Option<HeaderValue> {
    let node = lifecycle.node().unwrap_or_default();
    HeaderValue::try_from(format!("{}@{node}", lifecycle.id())).ok()
}
