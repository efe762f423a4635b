//! Failures that are hidden from a caller, and those that are not.

use std::{net::SocketAddr, time::Duration};

use discovery::{CallOptions, Client, Pool};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{sleep_until, timeout};

use super::{
    client, in_flight, request,
    server::{CLOSE, HANG, OK, Reply, Server},
    unused,
};

/// The number of consecutive calls: enough for each instance to be picked first by some.
const CALLS: usize = 20;

/// The time limit for the next byte of a body.
const STALL: Duration = Duration::from_millis(50);

const LEAVING: Reply =
    Reply::Send("HTTP/1.1 503 Busy\r\nDiscovery-Leaving: 1\r\nContent-Length: 0\r\n\r\n");
const GARBAGE: Reply = Reply::SendAndClose("220 mail.example ESMTP\r\n");

fn status(code: &'static str) -> Reply {
    Reply::Send(code)
}

fn quick(pool: &Pool) -> Client {
    let options =
        CallOptions::default().try_timeout(Duration::from_millis(200)).stall_timeout(STALL);
    client(pool).with_options(options).unwrap()
}

/// Whether all calls succeed while one of two instances fails like this.
async fn all_succeed(bad: Reply, method: Method) -> bool {
    let (bad, good) = (Server::always(bad).await, Server::always(OK).await);
    let mut all = true;
    for _ in 0..CALLS {
        // A new pool per call, without statistics: so about half of the calls pick the bad one first.
        let pool = Pool::fixed("service2", [bad.address, good.address]);
        let answer = quick(&pool).request(request(method.clone())).await;
        all &= answer.is_ok_and(|answer| answer.status() == StatusCode::OK);
        assert_eq!(in_flight(&pool), 0);
    }
    assert!(!bad.requests().is_empty());
    all
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_is_never_the_probe_of_an_ejected_instance() {
    const BAD: Reply = Reply::Send("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n");
    let (bad, good) = (Server::always(BAD).await, Server::always(OK).await);
    let pool = Pool::fixed("service2", [bad.address, good.address]);
    let client = client(&pool);
    let ejection =
        || pool.explain().instances.iter().find_map(|it| it.member.and_then(|it| it.ejection));
    // All are held at the same time, so that each member has a share of them.
    let picks: Vec<_> = (0..40).map(|_| pool.pick().unwrap()).collect();
    for pick in picks {
        if pick.instance().port == bad.address.port() { pick.fail() } else { pick.succeed() }
    }
    sleep_until(ejection().unwrap().until + Duration::from_millis(1)).await;
    for _ in 0..CALLS {
        let answer = client.request(request(Method::POST)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(bad.requests().len(), 0);
    client.request(request(Method::GET)).await.unwrap();
    assert_eq!(bad.requests().len(), 1, "a GET is the probe, and is retried on another instance");
}

#[tokio::test]
async fn one_bad_instance_of_two_fails_no_repeatable_call() {
    for (bad, get, post) in [
        (HANG, true, false),
        (CLOSE, true, false),
        (GARBAGE, true, false),
        (status("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"), true, false),
        (status("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"), true, false),
        (status("HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n"), true, false),
        (status("HTTP/1.1 429 Slowly\r\nContent-Length: 0\r\n\r\n"), true, false),
        // An answer that applies to the whole service.
        (
            status("HTTP/1.1 429 Slowly\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"),
            false,
            false,
        ),
        (status("HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n"), true, true),
        (LEAVING, true, true),
        (status("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), false, false),
    ] {
        assert_eq!(all_succeed(bad, Method::GET).await, get, "GET, {bad:?}");
        assert_eq!(all_succeed(bad, Method::POST).await, post, "POST, {bad:?}");
    }
}

#[tokio::test]
async fn an_instance_that_refuses_fails_no_call_at_all() {
    let (bad, good) = (unused(), Server::always(OK).await);
    for method in [Method::GET, Method::POST, Method::PATCH] {
        for _ in 0..CALLS {
            let pool = Pool::fixed("service2", [bad, good.address]);
            let answer = client(&pool).request(request(method.clone())).await.unwrap();
            assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
        }
    }
}

#[tokio::test]
async fn a_post_that_may_have_been_served_is_sent_once() {
    let (bad, good) = (Server::always(CLOSE).await, Server::always(OK).await);
    let (mut failed, mut calls) = (0, 0);
    while failed < 5 {
        let pool = Pool::fixed("service2", [bad.address, good.address]);
        calls += 1;
        if let Err(error) = client(&pool).request(request(Method::POST)).await {
            failed += 1;
            assert_eq!(error.tried().len(), 1);
            let text = format!(
                "no answer from service2: {} closed the connection before its response; POST is not sent twice",
                bad.address
            );
            assert_eq!(error.to_string(), text);
            assert!(!error.is_no_instance() && !error.is_timeout());
        }
    }
    assert_eq!(bad.requests().len() + good.requests().len(), calls);
}

#[tokio::test]
async fn an_error_answer_is_returned_when_there_is_no_other() {
    for (reply, code, text) in [
        ("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 503, "busy"),
        ("HTTP/1.1 429 Slowly\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait", 429, "wait"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", 500, "oops"),
    ] {
        let server = Server::always(Reply::Send(reply)).await;
        let answer =
            client(&Pool::fixed("service2", [server.address])).get("http://service2/").await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), code);
        assert_eq!(answer.into_body().text(64).await.unwrap(), text);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_instance_that_fails_is_soon_avoided() {
    let (bad, good) = (Server::always(CLOSE).await, Server::always(OK).await);
    let client = client(&Pool::fixed("service2", [bad.address, good.address]));
    for _ in 0..500 {
        client.get("http://service2/").await.unwrap();
    }
    let received = bad.requests().len();
    assert!(received < 20, "the bad instance received {received} requests");
}

#[tokio::test]
async fn an_abandoned_call_leaks_nothing_and_ejects_no_instance() {
    let server = Server::always(HANG).await;
    let pool = Pool::fixed("service2", [server.address]);
    for _ in 0..20 {
        let client = client(&pool);
        let call = client.get("http://service2/");
        let gave_up = timeout(Duration::from_millis(20), call).await;
        assert!(gave_up.is_err());
        assert_eq!(in_flight(&pool), 0);
    }
    super::eventually(|| server.open() == 0).await;
    let member = pool.explain().instances[0].member.unwrap();
    assert_eq!(member.ejection, None);
    assert_eq!(member.rank, discovery::Rank::Passing);
}

/// Whether a request of this method without an answer was certainly not served, and whether it is retryable.
async fn unserved_and_retryable(address: SocketAddr, method: Method) -> (bool, bool) {
    let pool = Pool::fixed("service2", [address]);
    let error = quick(&pool).request(request(method)).await.unwrap_err();
    (error.is_unserved(), error.is_retryable())
}

#[tokio::test]
async fn an_error_shows_whether_the_request_may_be_repeated() {
    let servers = [
        Server::always(CLOSE).await,
        Server::always(HANG).await,
        Server::always(GARBAGE).await,
        Server::always(Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Le")).await,
    ];
    for server in &servers {
        for (method, retryable) in [
            (Method::GET, true),
            (Method::PUT, true),
            (Method::DELETE, true),
            (Method::POST, false),
            (Method::PATCH, false),
        ] {
            let predicates = unserved_and_retryable(server.address, method.clone()).await;
            assert_eq!(predicates, (false, retryable), "{method}");
        }
    }
    let leaving = Server::always(LEAVING).await;
    for address in [unused(), leaving.address] {
        assert_eq!(unserved_and_retryable(address, Method::POST).await, (true, true));
    }
}

#[tokio::test]
async fn a_cut_answer_makes_no_post_retryable() {
    for (method, retryable) in [(Method::GET, true), (Method::POST, false)] {
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
        for reply in [Reply::SendAndClose(short), Reply::SendAndHang(short)] {
            let server = Server::always(reply).await;
            let pool = Pool::fixed("service2", [server.address]);
            let answer = quick(&pool).request(request(method.clone())).await.unwrap();
            let error = answer.into_body().bytes(64).await.unwrap_err();
            assert_eq!((error.is_unserved(), error.is_retryable()), (false, retryable), "{error}");
        }
    }
}

#[tokio::test]
async fn an_instance_whose_answers_are_cut_or_stall_is_soon_avoided() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n";
    for bad in [
        Reply::SendAndClose(short),
        Reply::SendAndClose(chunked),
        Reply::SendAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe"),
        Reply::SendAndHang(short),
        Reply::SendAndHang(chunked),
    ] {
        let (bad, good) = (Server::always(bad).await, Server::always(OK).await);
        let client = quick(&Pool::fixed("service2", [bad.address, good.address]));
        let mut failed = 0;
        for _ in 0..400 {
            let answer = client.get("http://service2/").await.unwrap();
            failed += usize::from(answer.into_body().bytes(64).await.is_err());
        }
        // The latency that is charged for the first failure avoids it for a while.
        assert!((1..20).contains(&failed), "{failed} calls failed");
        assert_eq!(bad.requests().len(), failed);
    }
}

#[tokio::test]
async fn a_dropped_answer_ejects_no_instance_unless_it_stalled() {
    let short = Reply::SendAndHang("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    for (waits, is_ejected) in [(Duration::ZERO, false), (3 * STALL, true)] {
        // An ejection needs a peer.
        let (bad, peer) = (Server::always(short).await, Server::always(short).await);
        let pool = Pool::fixed("service2", [bad.address, peer.address]);
        for _ in 0..20 {
            let answer = quick(&pool).get("http://service2/").await.unwrap();
            let mut body = answer.into_body();
            // Waits for the next byte, then drops the body.
            let reading = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
            timeout(waits, reading).await.ok();
        }
        assert_eq!(in_flight(&pool), 0);
        let members = pool.explain().instances;
        let is_out = members.iter().any(|it| it.member.unwrap().ejection.is_some());
        assert_eq!(is_out, is_ejected, "waited {waits:?}");
    }
}

#[tokio::test]
async fn a_429_is_retried_after_its_delay_if_the_call_has_time() {
    let slow_down = "HTTP/1.1 429 Slowly\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    for (method, call, status, requests) in
        [(Method::GET, 10_000, 200, 2), (Method::GET, 900, 429, 1), (Method::POST, 10_000, 429, 1)]
    {
        let server = Server::start(move |nth| if nth == 0 { Reply::Send(slow_down) } else { OK });
        let server = server.await;
        let call = Duration::from_millis(call);
        let client = client(&Pool::fixed("service2", [server.address]));
        let client = client.with_options(CallOptions::default().call_timeout(call)).unwrap();
        let answer = client.request(request(method.clone())).await.unwrap();
        assert_eq!(answer.status(), status, "{method} within {call:?}");
        assert_eq!(server.requests().len(), requests, "{method} within {call:?}");
    }
}

#[tokio::test]
async fn the_error_names_a_head_that_is_too_long() {
    let many: String = (0..101).map(|nth| format!("x-{nth}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(256 << 10));
    for headers in [many, long] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
        let server = Server::always(Reply::Send(head.leak())).await;
        let client = quick(&Pool::fixed("service2", [server.address]));
        let error = client.get("http://service2/").await.map(drop).unwrap_err();
        let text = "answered with more than 100 headers or 64 KiB of them";
        assert!(error.to_string().contains(text), "{error}");
    }
}
