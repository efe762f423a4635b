//! A request as it goes to an instance, once for each try.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body::Body as _;

use super::{
    connection::{Traffic, Upload},
    headers,
    request_body::{Content, RequestBody},
};

/// A request to a service.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    /// Path and query.
    target: Uri,
    headers: HeaderMap,
    body: Content,
    service: &'a HeaderValue,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(request: Request<RequestBody>, service: &'a HeaderValue) -> Self {
        let (head, body) = request.into_parts();
        let target = head.uri.into_parts().path_and_query.map_or_else(Uri::default, Uri::from);
        let mut headers = head.headers;
        headers::strip_hop_by_hop(&mut headers);
        // The connection takes the length from the body; it states none for an empty one.
        headers.remove(header::CONTENT_LENGTH);
        if body.size_hint().exact() == Some(0) && has_content(&head.method) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self { method: head.method, target, headers, body: body.0, service }
    }

    /// Whether the body is a stream, which is sent once.
    pub(crate) fn has_stream(&self) -> bool {
        matches!(&self.body, Content::Stream(_))
    }

    /// Whether the body is a stream of which a try has taken a frame: then it cannot be sent again.
    pub(crate) fn is_body_taken(&self) -> bool {
        matches!(&self.body, Content::Stream(stream) if stream.is_taken())
    }

    /// The error of the body, if it failed.
    pub(crate) fn take_body_error(&self) -> Option<Box<dyn std::error::Error + Send + Sync>> {
        match &self.body {
            Content::Bytes(_) => None,
            Content::Stream(stream) => stream.take_error(),
        }
    }

    /// For one more try, on the connection of this traffic.
    pub(crate) fn to_http(&self, traffic: &Arc<Traffic>) -> Request<Upload> {
        let mut request = Request::new(match &self.body {
            Content::Bytes(bytes) => Upload::bytes(bytes.clone(), traffic),
            Content::Stream(stream) => Upload::stream(stream.clone(), traffic),
        });
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        let mut headers = self.headers.clone();
        headers.entry(header::HOST).or_insert_with(|| self.service.clone());
        headers.insert(headers::SERVICE, self.service.clone());
        *request.headers_mut() = headers;
        request
    }
}

/// Whether requests with this method have content, so that its length is stated even if it is empty (RFC 9110, section 8.6): some servers
/// answer 411 otherwise.
fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

impl fmt::Debug for Outgoing<'_> {
    /// Neither query nor headers nor body: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, service) = (&self.method, self.service);
        f.debug_struct("Outgoing")
            .field("method", method)
            .field("service", service)
            .field("path", &self.target.path())
            .finish_non_exhaustive()
    }
}
