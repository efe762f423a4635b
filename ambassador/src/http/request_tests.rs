//! Heads of requests: what is refused, and what an instance gets.

use std::mem::MaybeUninit;

use super::*;

const HOP: Hop<'_> = Hop {
    service: "web",
    peer: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
    trusts_callers: true,
};

fn written(head: &str, hop: &Hop<'_>) -> Result<String, u16> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = Request::read(head.as_bytes(), &mut room).map_err(|refusal| refusal.status)?;
    let mut out = Vec::new();
    request.write(&mut out, hop);
    Ok(String::from_utf8(out).unwrap())
}

/// What follows the Host of a request to `web` from 127.0.0.1.
const OWN: &str = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nDiscovery-Service: web\r\n\r\n";

#[test]
fn heads_are_written_for_an_instance() {
    for (head, expected) in [
        (
            "GET /x?y HTTP/1.1\r\nHost: a\r\nAccept:  */* \r\n\r\n",
            "GET /x?y HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n",
        ),
        ("GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"),
        ("PATCH / HTTP/1.0\r\nHost: a\r\nExpect: tea\r\n\r\n", "PATCH / HTTP/1.1\r\nHost: a\r\n"),
        (
            "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 007\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\nContent-Length: 7\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, host, close\r\nX-Mine: 1\r\nX-Yours: 2\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\nDiscovery-Service: other\r\nDiscovery-Leaving: true\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Yours: 2\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n",
        ),
    ] {
        assert_eq!(written(head, &HOP), Ok(format!("{expected}{OWN}")), "{head}");
    }
}

#[test]
fn a_request_without_host_gets_the_name_of_the_service() {
    let head = written("GET / HTTP/1.0\r\n\r\n", &HOP).unwrap();
    assert!(head.starts_with("GET / HTTP/1.1\r\nHost: web\r\n"), "{head}");
}

#[test]
fn earlier_hops_are_kept_or_replaced() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX_Forwarded_For: 3.3.3.3\r\nForwarded: for=4.4.4.4\r\nX_Other: 1\r\n\r\n";
    for (trusts_callers, expected) in [
        (
            true,
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX_Forwarded_For: 3.3.3.3\r\nForwarded: for=4.4.4.4\r\nX_Other: 1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\n",
        ),
        (
            false,
            "X_Other: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n",
        ),
    ] {
        let head = written(sent, &Hop { trusts_callers, ..HOP });
        let start = "GET / HTTP/1.1\r\nHost: a\r\n";
        assert_eq!(head, Ok(format!("{start}{expected}Discovery-Service: web\r\n\r\n")));
    }
}

#[test]
fn a_client_without_an_address_is_not_named() {
    let head = written("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &Hop { peer: None, ..HOP }).unwrap();
    assert!(!head.contains("X-Forwarded-For"), "{head}");
    let mapped = "::ffff:10.0.0.1".parse().ok();
    let head = written("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &Hop { peer: mapped, ..HOP }).unwrap();
    assert!(head.contains("X-Forwarded-For: 10.0.0.1\r\n"), "{head}");
}

#[test]
fn odd_heads_are_refused() {
    let many =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert!(written(&many(HEADERS_MAX), &HOP).is_ok());
    assert_eq!(written(&many(HEADERS_MAX + 1), &HOP), Err(431));
    for (rest, status) in [
        (" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET /\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/3\r\nHost: a\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: b\0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA\u{e9}: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a\r\nConnection: b\r\nConnection: c\r\nConnection: d\r\nConnection: e\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(written(rest, &HOP), Err(status), "{rest:?}");
    }
}
