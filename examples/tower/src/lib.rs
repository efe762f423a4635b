//! Calls by service name below layers of tower. In two terminals:
//!
//! ```text
//! discovery up
//! cargo run -p tower-example -- http://service2/
//! ```
//!
//! [`lines`] has a balancer of tower, for another protocol than HTTP.

pub mod lines;

use std::time::Duration;

use bytes::Bytes;
use discovery::{Client, Error, RequestBody};
use http::{HeaderValue, Request, Response, header::USER_AGENT};
use http_body::Body;
use tower::{BoxError, Service, ServiceBuilder};
use tower_http::trace::TraceLayer;

/// Calls in flight. One more fails at once, instead of waiting behind others that are slow.
pub const CALLS_MAX: usize = 32;
const AGENT: HeaderValue = HeaderValue::from_static("tower-example");

/// The client below a limit of the calls in flight, a header of its own, a span per call, and a timeout for all tries of a call up to the head of its
/// response.
pub fn layered(
    client: Client,
    timeout: Duration,
) -> impl Service<
    Request<RequestBody>,
    Response = Response<impl Body<Data = Bytes, Error = Error>>,
    Error = BoxError,
    Future: Send,
> + Clone {
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(CALLS_MAX)
        .timeout(timeout)
        .map_request(with_agent)
        .layer(TraceLayer::new_for_http())
        .service(client)
}

fn with_agent(mut request: Request<RequestBody>) -> Request<RequestBody> {
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    request
}
