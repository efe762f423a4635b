//! A request as it goes to an instance, once for each try.

use std::{fmt, sync::Arc};

#[cfg(feature = "http2")]
use http::uri::{Authority, PathAndQuery, Scheme};
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
    /// Whether the caller takes trailers. HTTP/1.1 has another form for it, on which no server relies.
    #[cfg(feature = "http2")]
    takes_trailers: bool,
    body: Content,
    service: &'a HeaderValue,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(request: Request<RequestBody>, service: &'a HeaderValue) -> Self {
        let (head, body) = request.into_parts();
        let target = head.uri.into_parts().path_and_query.map_or_else(Uri::default, Uri::from);
        let mut headers = head.headers;
        #[cfg(feature = "http2")]
        let takes_trailers = headers::takes_trailers(&headers);
        headers::strip_hop_by_hop(&mut headers);
        // The connection takes the length from the body; it states none for an empty one.
        headers.remove(header::CONTENT_LENGTH);
        if body.size_hint().exact() == Some(0) && has_content(&head.method) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self {
            method: head.method,
            target,
            headers,
            #[cfg(feature = "http2")]
            takes_trailers,
            body: body.0,
            service,
        }
    }

    /// Whether the body is a stream, which is never sent to two instances at the same time.
    pub(crate) fn has_stream(&self) -> bool {
        matches!(&self.body, Content::Stream(_))
    }

    /// Whether the body is a stream of which a try has taken more than is kept: then it cannot be sent again.
    pub(crate) fn is_body_taken(&self) -> bool {
        matches!(&self.body, Content::Stream(stream) if !stream.is_kept())
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

#[cfg(feature = "http2")]
impl Outgoing<'_> {
    /// For one more try, in HTTP/2: its head, and its body if there is one.
    pub(crate) fn to_http2(&self, scheme: Scheme) -> (Request<()>, Option<&Content>) {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        let mut headers = self.headers.clone();
        let host = headers.remove(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        *request.uri_mut() = self.url(scheme, host);
        headers.insert(headers::SERVICE, self.service.clone());
        if self.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let is_empty = match &self.body {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Stream(stream) => stream.is_end_stream(),
        };
        if let Some(length) = self.body.length().filter(|_| !is_empty) {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        *request.headers_mut() = headers;
        (request, (!is_empty).then_some(&self.body))
    }

    /// The target with an authority: that of `Host`, or the service.
    fn url(&self, scheme: Scheme, host: Option<Authority>) -> Uri {
        let mut url = self.target.clone().into_parts();
        url.scheme = Some(scheme);
        url.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        url.authority = host.or_else(|| self.service.to_str().ok()?.parse().ok());
        Uri::from_parts(url).unwrap_or_else(|_| self.target.clone())
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
