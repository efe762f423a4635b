//! The answers of a server to given bytes, also invalid ones, and to clients that disconnect.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use super::{
    Request, Server,
    tests::{hello, start},
    text,
};

/// The time limit of every wait.
const WITHIN: Duration = Duration::from_secs(30);

/// Sends these bytes, shuts down the sending side, and returns all that is received before the connection ends.
async fn exchange(at: SocketAddr, bytes: &[u8]) -> String {
    let received = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(WITHIN, received).await.expect("the connection does not end").unwrap()
}

/// The statuses of the received answers.
fn statuses(received: &str) -> Vec<u16> {
    received.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

#[tokio::test]
async fn a_client_that_shut_down_its_sending_side_is_answered() {
    let world = start(hello().get("/slow", async |_| {
        tokio::task::yield_now().await;
        text(StatusCode::OK, "done\n")
    }))
    .await;
    for path in ["/health", "/", "/slow"] {
        for turn in 0..50 {
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            let answer = exchange(world.at, request.as_bytes()).await;
            assert_eq!(statuses(&answer), [200], "{path} {turn}: {answer:?}");
        }
    }
    let two = "GET /slow HTTP/1.1\r\nhost: web\r\n\r\n".repeat(2);
    assert_eq!(statuses(&exchange(world.at, two.as_bytes()).await), [200, 200]);
}

#[tokio::test]
async fn a_handler_is_not_cancelled_when_its_client_disconnects() {
    let [asked, go, done] = [(); 3].map(|()| Arc::new(Notify::new()));
    let (asked_tx, go_rx, done_tx) = (asked.clone(), go.clone(), done.clone());
    let world = start(Server::new().on(Method::POST, "/", move |_| {
        let (asked, go, done) = (asked_tx.clone(), go_rx.clone(), done_tx.clone());
        async move {
            asked.notify_one();
            go.notified().await;
            done.notify_one();
            text(StatusCode::OK, "")
        }
    }))
    .await;
    let mut client = TcpStream::connect(world.at).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
    asked.notified().await;
    drop(client);
    // The server detects the disconnect while it serves other clients.
    for _ in 0..10 {
        exchange(world.at, b"GET /health HTTP/1.0\r\n\r\n").await;
    }
    go.notify_one();
    timeout(WITHIN, done.notified()).await.expect("the handler was cancelled");
}

/// Sends each of these requests to one server, and compares the statuses of its answers. 400, 413 and 417 end the connection.
async fn check(rows: &[(&str, String, &[u16])]) {
    let server =
        hello().on(Method::PUT, "/", async |request: Request| text(StatusCode::OK, request.body));
    let (world, mut wrong) = (start(server).await, Vec::new());
    for (what, request, expected) in rows {
        let answer = exchange(world.at, request.as_bytes()).await;
        let is_last = expected.last().is_some_and(|it| [400, 413, 417].contains(it));
        if statuses(&answer) != *expected || (is_last && !answer.contains("connection: close")) {
            wrong.push(format!("{what}: {expected:?} expected, not {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn get(target: &str, rest: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: web\r\n{rest}\r\n")
}

fn put(headers: &str, body: &str) -> String {
    format!("PUT / HTTP/1.1\r\nhost: web\r\n{headers}\r\n\r\n{body}")
}

#[tokio::test]
async fn an_invalid_head_is_refused() {
    let target = |length: usize| format!("/?{}", "a".repeat(length));
    let line = |line: &str| format!("{line}\r\nhost: web\r\n\r\n");
    check(&[
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), &[400][..]),
        ("no host in 1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        ("an empty host", "GET / HTTP/1.1\r\nhost:\r\n\r\n".to_owned(), &[200]),
        ("two hosts", get("/", "host: web\r\n"), &[400]),
        ("no host, but one in the target", "GET http://web/ HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("an absolute target", get("http://other/", ""), &[200]),
        ("a bad escape in the path", get("/%zz", ""), &[400]),
        ("half an escape in the path", get("/%2", ""), &[400]),
        ("* for GET", get("*", ""), &[400]),
        ("* for OPTIONS", line("OPTIONS * HTTP/1.1"), &[204]),
        ("an authority for GET", get("web:80", ""), &[400]),
        ("CONNECT", line("CONNECT web:80 HTTP/1.1"), &[501]),
        ("a relative target", get("health", ""), &[400]),
        ("no version", line("GET /"), &[400]),
        ("HTTP/2", line("GET / HTTP/2.0"), &[400]),
        ("two spaces", line("GET  / HTTP/1.1"), &[400]),
        ("an empty line first", "\r\n".to_owned() + &get("/", ""), &[200]),
        ("lines that end in LF", get("/", "").replace('\r', ""), &[200]),
        ("CR in a value", get("/", "x: a\rb\r\n"), &[400]),
        ("NUL in a value", get("/", "x: a\0b\r\n"), &[400]),
        ("a folded line", get("/", "x: a\r\n b\r\n"), &[400]),
        ("a space before the colon", get("/", "x : a\r\n"), &[400]),
        ("a long target", get(&target(8 * 1024), ""), &[414]),
        ("a target of the maximum length", get(&target(8 * 1024 - 2), ""), &[200]),
        ("a target longer than a head", get(&target(40 * 1024), ""), &[431]),
        ("many headers", get("/", &"x: 1\r\n".repeat(100)), &[431]),
        ("an unknown method", line("BREW / HTTP/1.1"), &[501]),
        ("a method of another path", line("POST / HTTP/1.1"), &[405]),
        ("half a head", "GET / HTTP/1.1\r\nhost:".to_owned(), &[]),
    ])
    .await;
}

#[tokio::test]
async fn an_invalid_body_is_refused() {
    check(&[
        ("two lengths", put("content-length: 1\r\ncontent-length: 2", "ab"), &[400]),
        ("one length twice", put("content-length: 1\r\ncontent-length: 1", "a"), &[200]),
        ("a length with a sign", put("content-length: +1", "a"), &[400]),
        ("chunks", put("transfer-encoding: chunked", "1\r\na\r\n0\r\n\r\n"), &[200]),
        ("bad chunks", put("transfer-encoding: chunked", "x\r\n"), &[400]),
        (
            "chunks in 1.0",
            put("transfer-encoding: chunked", "0\r\n\r\n").replace("1.1", "1.0"),
            &[400],
        ),
        ("gzip below chunks", put("transfer-encoding: gzip, chunked", "0\r\n\r\n"), &[501]),
        ("gzip above chunks", put("transfer-encoding: chunked, gzip", "0\r\n\r\n"), &[400]),
        (
            "length and chunks: chunks count, and the connection ends",
            put("content-length: 9\r\ntransfer-encoding: chunked", "0\r\n\r\n") + &get("/", ""),
            &[200],
        ),
        (
            "expect: 100-continue",
            put("content-length: 1\r\nexpect: 100-continue", "a"),
            &[100, 200],
        ),
        (
            "expect: 100-continue above the limit",
            put("content-length: 2000000\r\nexpect: 100-continue", ""),
            &[413],
        ),
        ("another expectation", put("content-length: 1\r\nexpect: tea", "a"), &[417]),
        ("a body above the limit", put("content-length: 2000000", ""), &[413]),
        ("half a body", put("content-length: 2", "a"), &[400]),
    ])
    .await;
}

#[tokio::test]
async fn a_chunked_body_is_decoded() {
    let server = Server::new().on(Method::PUT, "/", async |request: Request| {
        text(StatusCode::OK, Bytes::from(format!("{:?}", request.body)))
    });
    let world = start(server).await;
    let chunks = "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\ntrailer: x\r\n\r\n";
    let request =
        format!("PUT / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    let answer = exchange(world.at, request.as_bytes()).await;
    assert!(answer.ends_with("\r\n\r\nb\"abcde\""), "{answer:?}");
}
