//! The requests of an HTTP check and of its redirects, without sockets.

use std::time::Duration;

use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;

use super::hop::{Hop, shown};
use crate::state::HttpCheck;

fn check(url: &str) -> HttpCheck {
    HttpCheck {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: Default::default(),
        body: String::new(),
        output_bytes_max: 4096,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    }
}

fn with_headers(check: HttpCheck, headers: &[(&str, &str)]) -> HttpCheck {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
    HttpCheck { headers: headers.collect(), ..check }
}

fn redirected(check: &HttpCheck, status: u16, location: &str) -> Result<Hop, String> {
    let location = HeaderValue::from_bytes(location.as_bytes()).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Hop::first(check)?.next(status, Some(&location))?.expect("a redirect"))
}

/// The destination of a hop: `host:port target`.
fn goes_to(hop: &Hop) -> String {
    let (host, port) = hop.address().unwrap();
    format!("{host}:{port} {}", hop.request().unwrap().uri())
}

fn header<'a>(request: &'a Request<Full<bytes::Bytes>>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn urls_are_read_as_a_browser_reads_them() {
    for (url, expected) in [
        ("http://h:81/x", "h:81 /x"),
        ("HTTP://H/x", "h:80 /x"),
        ("http://h", "h:80 /"),
        ("http://h?x=1", "h:80 /?x=1"),
        ("http://h/x?#f", "h:80 /x?"),
        ("http://h/a b", "h:80 /a%20b"),
        ("http://h/ä", "h:80 /%C3%A4"),
        ("http://h/x?a b&ä", "h:80 /x?a%20b&%C3%A4"),
        ("http://[::1]:81/x", "::1:81 /x"),
        ("http://user:pass@h/x", "h:80 /x"),
        ("http://h/b%2Fc", "h:80 /b%2Fc"),
        ("http://h/[x]{y}|^`\"<>", "h:80 /[x]%7By%7D|^%60%22%3C%3E"),
    ] {
        assert_eq!(goes_to(&Hop::first(&check(url)).unwrap()), expected, "{url}");
    }
}

#[test]
fn a_url_that_consul_rejects_is_rejected() {
    for url in [
        "h:81/x",
        "127.0.0.1:81/x",
        "/x",
        "//h/x",
        "",
        "ftp://h/x",
        "https://h/x",
        "http:///",
        "http:h/x",
        " http://h/x",
        "http://h/x\ny",
        "http://h:99999/x",
        "http://a b/x",
        "http://h/%zz",
        "http://h/%a",
        "http://[::1/x",
    ] {
        assert!(Hop::first(&check(url)).is_err(), "{url}");
    }
}

/// The examples of RFC 3986 section 5.4 that a server might send, and those of Consul.
#[test]
fn redirects_are_resolved_against_the_redirecting_url() {
    for (location, expected) in [
        ("next", "h:81 /a/b/next"),
        ("?x=1", "h:81 /a/b/c?x=1"),
        ("../ready", "h:81 /a/ready"),
        ("../../../../up", "h:81 /up"),
        ("./", "h:81 /a/b/"),
        ("/abs", "h:81 /abs"),
        ("#frag", "h:81 /a/b/c?q=1"),
        ("next?y=2#z", "h:81 /a/b/next?y=2"),
        ("a b", "h:81 /a/b/a%20b"),
        ("ä", "h:81 /a/b/%C3%A4"),
        ("//other/x", "other:80 /x"),
        ("http://other:82", "other:82 /"),
    ] {
        let hop = redirected(&check("http://h:81/a/b/c?q=1"), 302, location).unwrap();
        assert_eq!(goes_to(&hop), expected, "{location}");
    }
}

#[test]
fn a_redirect_without_a_target_is_an_error() {
    for location in ["", "%zz", "http://[::1", "ftp://x/", "mailto:x", "https://h/"] {
        assert!(redirected(&check("http://h/a"), 302, location).is_err(), "{location}");
    }
    let hop = Hop::first(&check("http://h/a")).unwrap();
    assert!(hop.clone().next(StatusCode::FOUND, None).is_err());
    for status in [200, 204, 300, 304, 305, 306, 404] {
        let status = StatusCode::from_u16(status).unwrap();
        let next = hop.clone().next(status, Some(&HeaderValue::from_static("/next")));
        assert!(next.unwrap().is_none(), "{status}");
    }
}

#[test]
fn only_307_and_308_keep_the_method_and_the_body() {
    for (method, status, expected, length_expected) in [
        ("GET", 302, "GET", 0),
        ("POST", 301, "GET", 0),
        ("POST", 302, "GET", 0),
        ("POST", 303, "GET", 0),
        ("POST", 307, "POST", 5),
        ("POST", 308, "POST", 5),
        ("PUT", 303, "GET", 0),
        ("DELETE", 302, "GET", 0),
        ("DELETE", 308, "DELETE", 5),
        ("HEAD", 303, "HEAD", 0),
    ] {
        let check =
            HttpCheck { method: method.to_owned(), body: "hello".to_owned(), ..check("http://h/") };
        let request = redirected(&check, status, "/next").unwrap().request().unwrap();
        let length = hyper::body::Body::size_hint(request.body()).exact();
        let did = (request.method().as_str(), length);
        assert_eq!(did, (expected, Some(length_expected)), "{method} {status}");
    }
}

#[test]
fn user_and_password_of_a_url_are_a_header() {
    for (url, expected) in [
        ("http://user:pass@h/", Some("Basic dXNlcjpwYXNz")),
        ("http://user@h/", Some("Basic dXNlcjo=")),
        ("http://u%20:p%40@h/", Some("Basic dSA6cEA=")),
        ("http://h/", None),
    ] {
        let request = Hop::first(&check(url)).unwrap().request().unwrap();
        assert_eq!(header(&request, "authorization"), expected, "{url}");
        assert_eq!(header(&request, "host"), Some("h"));
    }
    let own = with_headers(check("http://user:pass@h/"), &[("Authorization", "mine")]);
    let request = Hop::first(&own).unwrap().request().unwrap();
    assert_eq!(header(&request, "authorization"), Some("mine"));
    let hop = redirected(&check("http://user:pass@h/"), 302, "/next").unwrap();
    assert_eq!(header(&hop.request().unwrap(), "authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[test]
fn credentials_are_not_sent_to_another_server() {
    let headers =
        [("Authorization", "secret"), ("Cookie", "secret"), ("X-Key", "k"), ("Host", "own")];
    let check = with_headers(check("http://u:secret@h:81/a"), &headers);
    for (location, secrets, host) in [
        ("/next", true, "own"),
        ("http://h:81/next", true, "h:81"),
        ("http://h:82/next", false, "h:82"),
        ("http://other/next", false, "other"),
        ("http://h.evil:81/next", false, "h.evil:81"),
    ] {
        let request = redirected(&check, 302, location).unwrap().request().unwrap();
        let secret = secrets.then_some("secret");
        assert_eq!(header(&request, "authorization"), secret, "{location}");
        assert_eq!(header(&request, "cookie"), secret, "{location}");
        assert_eq!(header(&request, "x-key"), Some("k"));
        assert_eq!(header(&request, "host"), Some(host), "{location}");
        assert_eq!(header(&request, "referer"), Some("http://h:81/a"), "{location}");
    }
}

#[test]
fn passwords_are_not_shown() {
    for (url, expected) in [
        ("http://user:pass@h/x", "http://user:***@h/x"),
        ("http://u:p:q@x@h/x", "http://u:***@h/x"),
        ("http://user@h/x", "http://user@h/x"),
        ("http://h/x?a:b@c", "http://h/x?a:b@c"),
        ("//u:p@h", "//u:***@h"),
        ("no url", "no url"),
    ] {
        assert_eq!(shown(url), expected);
    }
    for err in [
        Hop::first(&check("https://user:secret@h/")).unwrap_err(),
        Hop::first(&check("http://user:secret@h:port/")).unwrap_err(),
        redirected(&check("http://h/"), 302, "ftp://user:secret@h/").unwrap_err(),
        Hop::first(&with_headers(check("http://h/"), &[("X", "secret\n")])).unwrap_err(),
    ] {
        assert!(!err.contains("secret"), "{err}");
    }
}

proptest! {
    #[test]
    fn any_accepted_url_and_location_can_be_requested(url in ".{0,60}", location in ".{0,60}") {
        for url in [url.as_str(), "http://h/a", &format!("http://{url}")] {
            let Ok(hop) = Hop::first(&check(url)) else { continue };
            prop_assert!(hop.request().is_ok() && hop.address().is_ok(), "{url}");
            let Ok(location) = HeaderValue::from_bytes(location.as_bytes()) else { continue };
            if let Ok(Some(next)) = hop.next(StatusCode::FOUND, Some(&location)) {
                prop_assert!(next.request().is_ok() && next.address().is_ok(), "{location:?}");
            }
        }
    }
}
