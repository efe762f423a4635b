//! The files of the page.

use bytes::Bytes;
use discovery::serve::Server;
use http::{HeaderValue, Response, header};

/// Each with its path and type.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
];

/// Nothing from elsewhere, no inline script.
const POLICY: &str = "default-src 'self'; img-src data:";

/// Adds the routes of the page.
pub(super) fn add_to(server: Server) -> Server {
    FILES.into_iter().fold(server, |server, (path, kind, content)| {
        server.get(path, async move |_| file(kind, content))
    })
}

fn file(kind: &'static str, content: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(content.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
