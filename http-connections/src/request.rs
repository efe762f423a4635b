//! Request heads that hyper accepts and RFC 9112 requires to be refused. The texts are Consul's.

use http::{HeaderMap, Method, StatusCode, Uri, Version, header, request::Parts};

/// The reason for which a request is refused. The connection is closed after the answer: the bytes that follow cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's text.
    pub why: &'static str,
}

/// The first error in a request head, or None:
///
/// - HTTP/1.1 without Host, more than one Host, or an invalid one (400, RFC 9112 section 3.2);
/// - `*` for a method other than OPTIONS, a bare authority for one other than CONNECT (400, section 3.2);
/// - a path in which `%` is not followed by two hexadecimal digits (400, RFC 3986 section 2.1);
/// - a transfer coding other than `chunked` (501, section 6.1);
/// - an expectation other than `100-continue` (417, RFC 9110 section 10.1.1).
pub fn refusal(head: &Parts) -> Option<Refusal> {
    let bad = |why| Some(Refusal { status: StatusCode::BAD_REQUEST, why });
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version >= Version::HTTP_11 => {
            return bad("400 Bad Request: missing required Host header");
        }
        (_, Some(_)) => return bad("400 Bad Request: too many Host headers"),
        (Some(host), None) if !host.as_bytes().iter().all(is_of_host) => {
            return bad("400 Bad Request: malformed Host header");
        }
        _ => {}
    }
    if !is_target(&head.method, &head.uri) {
        return bad("400 Bad Request");
    }
    if !is_only(&head.headers, header::TRANSFER_ENCODING, "chunked") {
        let why = "Unsupported transfer encoding";
        return Some(Refusal { status: StatusCode::NOT_IMPLEMENTED, why });
    }
    if !is_only(&head.headers, header::EXPECT, "100-continue") {
        return Some(Refusal { status: StatusCode::EXPECTATION_FAILED, why: "" });
    }
    None
}

/// The characters of a host and its port: RFC 3986 section 3.2.2.
fn is_of_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(byte)
}

fn is_target(method: &Method, uri: &Uri) -> bool {
    match uri.path() {
        "" => method == Method::CONNECT,
        "*" => method == Method::OPTIONS,
        path => is_encoded(path.as_bytes()),
    }
}

fn is_encoded(path: &[u8]) -> bool {
    let escaped =
        |rest: &[u8]| rest.iter().take(2).filter(|it| it.is_ascii_hexdigit()).count() == 2;
    path.split(|byte| *byte == b'%').skip(1).all(escaped)
}

/// Whether a header is missing, or present once with this value.
fn is_only(headers: &HeaderMap, name: header::HeaderName, value: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        && values.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check(request: http::request::Builder, status: Option<u16>) {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let refused = refusal(&head);
        assert_eq!(refused.map(|it| it.status.as_u16()), status, "{head:?}");
    }

    #[test]
    fn http_1_1_requires_exactly_one_host() {
        let hosts = |version, hosts: &[&str]| {
            let request = Request::get("/").version(version);
            hosts.iter().fold(request, |request, host| request.header("host", *host))
        };
        for (version, given, status) in [
            (Version::HTTP_11, &[][..], Some(400)),
            (Version::HTTP_10, &[], None),
            (Version::HTTP_11, &[""], None),
            (Version::HTTP_11, &["a:80"], None),
            (Version::HTTP_11, &["[::1]:80"], None),
            (Version::HTTP_11, &["a", "a"], Some(400)),
            (Version::HTTP_10, &["a", "b"], Some(400)),
            (Version::HTTP_11, &["a b"], Some(400)),
            (Version::HTTP_11, &["a/b"], Some(400)),
            (Version::HTTP_11, &["user@a"], Some(400)),
            (Version::HTTP_10, &["a b"], Some(400)),
        ] {
            check(hosts(version, given), status);
        }
    }

    #[test]
    fn a_target_must_match_its_method_and_be_encoded() {
        for (method, target, status) in [
            (Method::GET, "/", None),
            (Method::GET, "/a%2Fb%20", None),
            (Method::GET, "/%zz", Some(400)),
            (Method::GET, "/%2", Some(400)),
            (Method::GET, "/%", Some(400)),
            (Method::GET, "/%%20", Some(400)),
            (Method::GET, "/?a=%zz", None),
            (Method::GET, "http://other/x", None),
            (Method::GET, "http://other", None),
            (Method::OPTIONS, "*", None),
            (Method::GET, "*", Some(400)),
            (Method::CONNECT, "a:80", None),
            (Method::GET, "a:80", Some(400)),
        ] {
            let request = Request::builder().method(method).uri(target);
            check(request.header("host", "a"), status);
        }
    }

    #[test]
    fn unsupported_codings_and_expectations_are_refused() {
        for (name, values, status) in [
            ("transfer-encoding", &["chunked"][..], None),
            ("transfer-encoding", &["Chunked"], None),
            ("transfer-encoding", &["gzip, chunked"], Some(501)),
            ("transfer-encoding", &["gzip", "chunked"], Some(501)),
            ("transfer-encoding", &["chunked", "chunked"], Some(501)),
            ("expect", &["100-Continue"], None),
            ("expect", &["tea"], Some(417)),
        ] {
            let request = Request::put("/").header("host", "a");
            check(values.iter().fold(request, |request, it| request.header(name, *it)), status);
        }
    }
}
