//! A request as it goes to an instance, once for each try.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;

use super::headers;

/// What is asked of a service.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    /// Path and query.
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
    service: &'a HeaderValue,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(request: Request<Bytes>, service: &'a HeaderValue) -> Self {
        let (head, body) = request.into_parts();
        let target = head.uri.into_parts().path_and_query.map_or_else(Uri::default, Uri::from);
        let mut headers = head.headers;
        headers::strip_hop_by_hop(&mut headers);
        // The body is of a known length, which its connection says by itself.
        headers.remove(header::CONTENT_LENGTH);
        Self { method: head.method, target, headers, body, service }
    }

    /// For one more try.
    pub(crate) fn to_http(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        let mut headers = self.headers.clone();
        headers.entry(header::HOST).or_insert_with(|| self.service.clone());
        headers.insert(headers::SERVICE, self.service.clone());
        *request.headers_mut() = headers;
        request
    }
}
