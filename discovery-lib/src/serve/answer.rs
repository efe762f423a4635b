//! The response to a request: checks before the handler, and the headers that every response has.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use http_connections::{Exchange, refusal};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::{Request, routes::Routes, statuses::Statuses, text};
use crate::{
    Lifecycle,
    protocol::{close_during_shutdown, misdirected, sign},
};

/// Bytes of a request's target; a longer one gets 414.
const TARGET_MAX: usize = 8 * 1024;
/// Bytes of a request's body; a longer one gets 413.
const BODY_MAX: usize = 1024 * 1024;
/// From the end of a request's head to the end of its body; a slower one gets 408.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// The state that all connections of a server share.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) routes: Routes,
    pub(super) statuses: Arc<Statuses>,
    /// None for a server that is no instance of a service.
    pub(super) lifecycle: Option<Lifecycle>,
}

impl Answers {
    pub(super) async fn answer(
        &self,
        request: http::Request<Incoming>,
        remote: SocketAddr,
        local: SocketAddr,
        exchange: Exchange,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let mut response = match malformed(&head).or_else(|| self.misdirected(&head)) {
            Some(response) => response,
            None => match read(body).await {
                Ok(body) => {
                    exchange.in_progress();
                    self.routes.answer(Request { head, body, remote, local }).await
                }
                Err(response) => response,
            },
        };
        self.sign(&mut response);
        self.statuses.count(response.status());
        response.map(Full::new)
    }

    fn misdirected(&self, head: &Parts) -> Option<Response<Bytes>> {
        misdirected(self.lifecycle.as_ref()?, &head.headers)
    }

    /// The headers that every response of an instance has.
    fn sign(&self, response: &mut Response<Bytes>) {
        if let Some(lifecycle) = &self.lifecycle {
            sign(lifecycle, response.headers_mut());
            close_during_shutdown(lifecycle, response.headers_mut());
        }
    }
}

fn malformed(head: &Parts) -> Option<Response<Bytes>> {
    if let Some(refused) = refusal(head) {
        return Some(last(refused.status, format!("{}\n", refused.why)));
    }
    let length = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    (length > TARGET_MAX)
        .then(|| last(StatusCode::URI_TOO_LONG, "the target is longer than 8 KiB\n"))
}

async fn read(body: Incoming) -> Result<Bytes, Response<Bytes>> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // Before the body is polled, so that hyper does not send 100 Continue.
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_long());
    }
    match timeout(BODY_WITHIN, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(err)) if err.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(last(StatusCode::BAD_REQUEST, "the body is incomplete\n")),
        Err(_) => Err(last(StatusCode::REQUEST_TIMEOUT, "the body was not complete within 30 s\n")),
    }
}

fn too_long() -> Response<Bytes> {
    last(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 1 MiB\n")
}

/// A response that closes its connection: the start of the next request is unknown.
fn last(status: StatusCode, why: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = text(status, why);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
