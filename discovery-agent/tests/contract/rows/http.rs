//! HTTP itself: methods, headers, bodies, and unknown paths.

use std::io::Read as _;

use http::{Method, header};
use serde_json::json;
use testkit::http::Answer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(other_methods_are_refused_with_the_allowed_ones),
    row!(options_lists_the_allowed_methods),
    row!(unsupported_endpoints_are_an_error)
        .ours_is_better("a 404 for an unsupported path would look like an answer"),
    row!(unknown_paths_are_not_found),
    row!(the_root_redirects_to_the_ui),
    row!(answers_of_the_catalog_have_its_headers),
    row!(answers_of_the_agent_have_no_catalog_headers),
    row!(json_is_compact_unless_pretty_is_set),
    row!(long_bodies_are_compressed_on_request),
    row!(a_connection_serves_many_requests),
    row!(bodies_may_be_chunked),
    row!(a_client_may_wait_for_100_continue),
    row!(http_1_0_is_answered_and_closed),
    row!(bytes_that_are_not_http_are_refused),
    row!(requests_that_violate_http_are_refused),
    row!(ambiguous_requests_are_refused)
        .ours_is_better("an ambiguous request allows request smuggling behind a proxy"),
    row!(paths_are_cleaned_by_a_redirect),
];

/// Every path that discovery uses, with its method.
fn paths() -> Vec<(&'static str, Method)> {
    let get = [
        "agent/self",
        "agent/members",
        "agent/services",
        "agent/service/x",
        "agent/checks",
        "agent/health/service/id/x",
        "agent/health/service/name/x",
        "catalog/datacenters",
        "catalog/nodes",
        "catalog/services",
        "catalog/service/x",
        "catalog/node/x",
        "health/service/x",
        "health/checks/x",
        "health/node/x",
        "health/state/any",
        "status/leader",
        "status/peers",
    ];
    let put = [
        "agent/service/register",
        "agent/service/deregister/x",
        "agent/service/maintenance/x",
        "agent/maintenance",
        "agent/check/register",
        "agent/check/deregister/x",
        "agent/check/pass/x",
        "agent/check/warn/x",
        "agent/check/fail/x",
        "agent/check/update/x",
    ];
    let gets = get.into_iter().map(|path| (path, Method::GET));
    gets.chain(put.into_iter().map(|path| (path, Method::PUT))).collect()
}

fn allow(answer: &Answer) -> Option<&str> {
    answer.header("allow")
}

async fn other_methods_are_refused_with_the_allowed_ones(target: &Target) {
    for (path, allowed) in paths() {
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            if method == allowed {
                continue;
            }
            let answer = target.method(method.clone(), &format!("/v1/{path}")).await;
            answer.is(405, &format!("method {method} not allowed"));
            assert_eq!(allow(&answer), Some(format!("OPTIONS,{allowed}").as_str()), "{path}");
        }
        // Including HEAD.
        let answer = target.method(Method::HEAD, &format!("/v1/{path}")).await;
        answer.is(405, "");
        assert_eq!(allow(&answer), Some(format!("OPTIONS,{allowed}").as_str()), "{path}");
    }
}

async fn options_lists_the_allowed_methods(target: &Target) {
    for (path, allowed) in paths() {
        let answer = target.method(Method::OPTIONS, &format!("/v1/{path}")).await;
        answer.is(200, "");
        assert_eq!(allow(&answer), Some(format!("OPTIONS,{allowed}").as_str()), "{path}");
    }
}

async fn unsupported_endpoints_are_an_error(target: &Target) {
    let paths = [
        "kv/x",
        "kv/x?recurse",
        "session/list",
        "event/list",
        "query",
        "connect/ca/roots",
        "connect/intentions",
        "config/service-defaults/web",
        "coordinate/nodes",
        "operator/raft/configuration",
        "snapshot",
        "health/connect/web",
        "catalog/connect/web",
        "internal/ui/services",
        "discovery-chain/web",
        "agent/metrics",
    ];
    for path in paths {
        let answer = target.get(format!("/v1/{path}")).await;
        if target.is_real() {
            assert_ne!(answer.status, 501, "{path}");
            continue;
        }
        assert_eq!(answer.status, 501, "{path}");
        assert!(answer.text().contains("does not offer /v1/"), "{}", answer.text());
    }
    for path in ["txn", "kv/x", "catalog/register", "session/create", "event/fire/x"] {
        let answer = target.put(format!("/v1/{path}")).await;
        assert_eq!(answer.status == 501, !target.is_real(), "{path}");
    }
}

async fn unknown_paths_are_not_found(target: &Target) {
    let paths = ["/v1", "/v1/", "/v1/nothing", "/v1/agent/nothing", "/v2/agent/self", "/nothing"];
    for path in paths {
        for method in [Method::GET, Method::PUT, Method::OPTIONS] {
            target.method(method, path).await.is(404, "");
        }
    }
}

async fn the_root_redirects_to_the_ui(target: &Target) {
    let answer = target.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (301, Some("/ui/")));
}

async fn answers_of_the_catalog_have_its_headers(target: &Target) {
    let paths = [
        "catalog/nodes",
        "catalog/services",
        "catalog/service/consul",
        "catalog/node/node1",
        "health/service/consul",
        "health/checks/consul",
        "health/node/node1",
        "health/state/any",
    ];
    for path in paths {
        let answer = target.get(format!("/v1/{path}")).await;
        let headers = [
            ("content-type", "application/json"),
            ("vary", "Accept-Encoding"),
            ("x-consul-effective-consistency", "leader"),
            ("x-consul-knownleader", "true"),
            ("x-consul-lastcontact", "0"),
        ];
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert!(answer.index() > 0, "{path}");
    }
}

async fn answers_of_the_agent_have_no_catalog_headers(target: &Target) {
    let paths = [
        "agent/self",
        "agent/members",
        "agent/services",
        "agent/checks",
        "catalog/datacenters",
        "status/leader",
        "status/peers",
    ];
    for path in paths {
        let answer = target.get(format!("/v1/{path}")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{path}");
        let theirs = answer.headers.keys().filter(|name| name.as_str().starts_with("x-consul"));
        assert_eq!(theirs.count(), 0, "{path}: {:?}", answer.headers);
    }
    // The answer to a change has no body.
    let answer = target.put("/v1/agent/service/deregister/nobody").await;
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("content-type"), None);
}

async fn json_is_compact_unless_pretty_is_set(target: &Target) {
    for path in ["catalog/nodes", "agent/self", "status/leader", "catalog/node/stranger"] {
        let compact = target.get(format!("/v1/{path}")).await;
        compact.ok();
        assert!(!compact.text().contains('\n'), "{path}");
        for query in ["?pretty", "?pretty=1"] {
            let pretty = target.get(format!("/v1/{path}{query}")).await;
            pretty.ok();
            assert!(pretty.text().ends_with('\n'), "{path}");
        }
    }
    let pretty = target.get("/v1/status/peers?pretty").await;
    assert_eq!(pretty.text(), format!("[\n    {}\n]\n", pretty.ok()[0]));
}

async fn long_bodies_are_compressed_on_request(target: &Target) {
    let name = target.unique("long");
    let tags: Vec<String> = (0..200).map(|tag| format!("tag number {tag}")).collect();
    target.register(&json!({ "Name": name, "Tags": tags })).await;
    let path = format!("/v1/health/service/{name}");
    let plain = target.get(&path).await;
    assert_eq!(plain.header("content-encoding"), None);
    for accepted in ["gzip", "gzip, deflate, br", "br, gzip;q=0.5"] {
        let packed = target.get_with(&path, header::ACCEPT_ENCODING, accepted).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{accepted}");
        assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text());
        assert!(packed.body.len() < plain.body.len());
    }
    for accepted in ["identity", "deflate", "gzip;q=0"] {
        let answer = target.get_with(&path, header::ACCEPT_ENCODING, accepted).await;
        assert_eq!(answer.header("content-encoding"), None, "{accepted}");
    }
}

async fn a_connection_serves_many_requests(target: &Target) {
    let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
    for _ in 0..3 {
        let request = b"GET /v1/status/leader HTTP/1.1\r\nHost: consul\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

/// Sends this unchanged, and reads until the connection is closed.
async fn raw(target: &Target, request: String) -> String {
    let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is accepted as an end.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

/// A registration by hand, with these headers.
fn put(headers: &str) -> String {
    format!(
        "PUT /v1/agent/service/register HTTP/1.1\r\nHost: consul\r\nConnection: close\r\n{headers}\r\n"
    )
}

async fn bodies_may_be_chunked(target: &Target) {
    let name = target.unique("chunks");
    let body = format!("{{\"Name\":\"{name}\"}}");
    let (first, last) = body.split_at(5);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let chunks = [first, last, ""].map(chunk).concat();
    let answer = raw(target, put("Transfer-Encoding: chunked\r\n") + &chunks).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    target.get(format!("/v1/agent/service/{name}")).await.ok();
}

/// As curl does with long bodies.
async fn a_client_may_wait_for_100_continue(target: &Target) {
    let name = target.unique("expect");
    let body = format!("{{\"Name\":\"{name}\"}}");
    let head = put(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len()));
    let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_ahead = vec![0; 25];
    stream.read_exact(&mut go_ahead).await.unwrap();
    assert_eq!(go_ahead, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// As in HAProxy's checks.
async fn http_1_0_is_answered_and_closed(target: &Target) {
    let answer = raw(target, "GET /v1/status/leader HTTP/1.0\r\n\r\n".to_owned()).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

async fn bytes_that_are_not_http_are_refused(target: &Target) {
    let answer = raw(target, "what is this\r\n\r\n".to_owned()).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    // Other connections are not affected.
    target.get("/v1/status/leader").await.ok();
}

/// Sends this and half-closes; returns the answer up to the end of the connection.
pub(super) async fn exchange(target: &Target, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(target.http_addr()).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The statuses in these answers.
pub(super) fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

pub(super) fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: consul\r\n{headers}\r\n")
}

async fn requests_that_violate_http_are_refused(target: &Target) {
    const LEADER: &str = "/v1/status/leader";
    let put = |headers: &str, body: &str| {
        format!(
            "PUT /v1/agent/service/deregister/x HTTP/1.1\r\nHost: consul\r\n{headers}\r\n\r\n{body}"
        )
    };
    let line = |line: &str| format!("{line}\r\nHost: consul\r\n\r\n");
    let no_host = "400 Bad Request: missing required Host header";
    let hosts = "400 Bad Request: too many Host headers";
    let host = "400 Bad Request: malformed Host header";
    for (request, status, text) in [
        (format!("GET {LEADER} HTTP/1.1\r\n\r\n"), 400, no_host),
        (format!("GET http://consul{LEADER} HTTP/1.1\r\n\r\n"), 400, no_host),
        (format!("GET {LEADER} HTTP/1.0\r\n\r\n"), 200, ""),
        (format!("GET {LEADER} HTTP/1.1\r\nHost:\r\n\r\n"), 200, ""),
        (get(LEADER, "Host: consul\r\n"), 400, hosts),
        (format!("GET {LEADER} HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400, hosts),
        (format!("GET {LEADER} HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, host),
        (format!("GET {LEADER} HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, host),
        (get(&format!("http://consul{LEADER}"), ""), 200, ""),
        (get("/v1/%zz", ""), 400, "400 Bad Request"),
        (get("/v1/%2", ""), 400, "400 Bad Request"),
        (get("*", ""), 400, ""),
        (line("OPTIONS * HTTP/1.1"), 200, ""),
        (get("v1/status/leader", ""), 400, ""),
        (line(&format!("GET {LEADER}")), 400, ""),
        (line(&format!("GET {LEADER} HTTP/2.0")), 400, ""),
        (line(&format!("GET  {LEADER} HTTP/1.1")), 400, ""),
        (line(&format!("BREW {LEADER} HTTP/1.1")), 405, "method BREW not allowed"),
        (get(LEADER, "").replace('\r', ""), 200, ""),
        (get(LEADER, "X: a\rb\r\n"), 400, ""),
        (get(LEADER, "X: a\0b\r\n"), 400, ""),
        (get(LEADER, "X : a\r\n"), 400, ""),
        (put("Content-Length: 1\r\nContent-Length: 2", "ab"), 400, ""),
        (put("Content-Length: 1\r\nContent-Length: 1", "a"), 200, ""),
        (put("Content-Length: +1", "a"), 400, ""),
        (put("Content-Length: 1\r\nExpect: tea", "a"), 417, ""),
        (
            put("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
            501,
            "Unsupported transfer encoding",
        ),
    ] {
        let answer = exchange(target, &request).await;
        assert_eq!(statuses(&answer), [status], "{request:?}: {answer:?}");
        assert!(answer.ends_with(text), "{request:?}: {answer:?}");
        let is_last = answer.to_lowercase().contains("connection: close");
        assert!(is_last || ![400, 417, 501].contains(&status), "{request:?}: {answer:?}");
    }
}

async fn ambiguous_requests_are_refused(target: &Target) {
    let put =
        |headers: &str| format!("PUT /v1/agent/service/deregister/x {headers}\r\n\r\n0\r\n\r\n");
    for request in [
        get("/v1/status/leader", "X: a\r\n b\r\n"),
        put("HTTP/1.0\r\nHost: consul\r\nTransfer-Encoding: chunked"),
    ] {
        let expected = if target.is_real() { 200 } else { 400 };
        assert_eq!(statuses(&exchange(target, &request).await), [expected], "{request:?}");
    }
    // Both use the chunks here; the embedded agent then closes the connection.
    let both = put("HTTP/1.1\r\nHost: consul\r\nContent-Length: 5\r\nTransfer-Encoding: chunked");
    let answers = statuses(&exchange(target, both + &get("/v1/status/leader", "")).await).len();
    assert_eq!(answers, if target.is_real() { 2 } else { 1 });
}

async fn paths_are_cleaned_by_a_redirect(target: &Target) {
    for (path, location) in [
        ("//v1/status/leader", "/v1/status/leader"),
        ("//v1/status/leader?x=1&y=%zz", "/v1/status/leader?x=1&y=%zz"),
        ("//", "/"),
        ("/v1/./status/leader", "/v1/status/leader"),
        ("/v1/x/../status/leader", "/v1/status/leader"),
        ("/../v1", "/v1"),
        ("/v1/.", "/v1"),
        ("/v1/..", "/"),
        ("/v1/health//service/x", "/v1/health/service/x"),
        ("/v1/health/service//", "/v1/health/service/"),
        ("/v1/health/service/%2Fx", "/v1/health/service/x"),
        ("/v1/health/%2e%2e/service/x", "/v1/service/x"),
        (
            "//v1/health/service/a%20b'%22%3C$&+,:;=@~!*()",
            "/v1/health/service/a%20b%27%22%3C$&+,:;=@~%21%2A%28%29",
        ),
    ] {
        for (method, page) in [("GET", true), ("HEAD", true), ("PUT", false), ("OPTIONS", false)] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: consul\r\n\r\n");
            let answer = exchange(target, request).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(statuses(head), [301], "{method} {path}: {answer}");
            let header = |line: &str| head.lines().any(|it| it == line);
            assert!(header(&format!("Location: {location}")), "{method} {path}: {answer}");
            assert_eq!(header("Content-Type: text/html; charset=utf-8"), page, "{answer}");
            let written = location.replace('&', "&amp;");
            let expected = format!("<a href=\"{written}\">Moved Permanently</a>.\n\n");
            assert_eq!(body, if method == "GET" { &expected } else { "" }, "{method} {path}");
        }
    }
    for path in ["/v1/health/service/.x", "/v1/health/service/a..b", "/v1/health/service/%20x"] {
        target.get(path).await.ok();
    }
}
