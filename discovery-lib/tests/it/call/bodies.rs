//! Reading of response bodies: whole, in pieces, not at all.

use std::time::Duration;

use discovery::{CallOptions, Pool};
use http_body_util::BodyExt;
use testkit::proxy::Proxy;

use super::{
    client, eventually, in_flight,
    server::{Reply, Server},
};

/// Longer than the pauses in answers here, except for those that stall.
const STALL: Duration = Duration::from_secs(1);

async fn answer_of(reply: Reply) -> (Server, Pool, http::Response<discovery::Body>) {
    let server = Server::always(reply).await;
    let pool = Pool::fixed("service2", [server.address]);
    let call = Duration::from_millis(400);
    let options = CallOptions::default().call_timeout(call).stall_timeout(STALL);
    let answer =
        client(&pool).with_options(options).unwrap().get("http://service2/").await.unwrap();
    (server, pool, answer)
}

#[tokio::test]
async fn a_body_is_read_whole_in_every_framing() {
    let pause = Duration::from_millis(20);
    for reply in [
        Reply::Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Reply::Send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ),
        Reply::SendAndClose("HTTP/1.1 200 OK\r\n\r\nhello"),
        Reply::SendSlowly("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", pause, "llo"),
        Reply::SendSlowly("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", pause, "hello"),
        Reply::SendSlowly(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            pause,
            "0\r\n\r\n",
        ),
    ] {
        let (_server, pool, answer) = answer_of(reply).await;
        assert_eq!(in_flight(&pool), 1, "{reply:?}");
        assert_eq!(answer.into_body().bytes(5).await.unwrap(), "hello", "{reply:?}");
        assert_eq!(in_flight(&pool), 0, "{reply:?}");
    }
}

#[tokio::test]
async fn an_empty_body_ends_with_its_head() {
    for reply in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    {
        let (_server, pool, _answer) = answer_of(Reply::Send(reply)).await;
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn a_dropped_body_ends_its_call_and_its_connection() {
    let (server, pool, answer) =
        answer_of(Reply::SendAndHang("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")).await;
    assert_eq!((in_flight(&pool), server.open()), (1, 1));
    drop(answer);
    assert_eq!(in_flight(&pool), 0);
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn a_body_that_fails_ends_in_an_error_with_the_reason() {
    for (reply, limit, expected, timeout, retryable) in [
        (
            Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
            64,
            "broke off",
            false,
            true,
        ),
        (
            Reply::SendAndClose(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
            ),
            64,
            "broke off",
            false,
            true,
        ),
        (
            Reply::Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhel"),
            64,
            "broke off",
            false,
            true,
        ),
        (
            Reply::Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            4,
            "is longer than 4 bytes",
            false,
            false,
        ),
        (
            Reply::Send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
            4,
            "is longer than 4 bytes",
            false,
            false,
        ),
        (
            Reply::SendAndHang("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
            64,
            "did not end in the 400 ms of the call",
            true,
            true,
        ),
    ] {
        let (server, pool, answer) = answer_of(reply).await;
        let error = answer.into_body().bytes(limit).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the answer of {} {expected}", server.address));
        assert_eq!((error.is_timeout(), error.is_retryable()), (timeout, retryable), "{error}");
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn a_body_may_be_streamed_beyond_the_deadline_of_the_call() {
    let slow = Reply::SendSlowly(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        Duration::from_millis(600),
        "llo",
    );
    let (_server, _pool, answer) = answer_of(slow).await;
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_streamed_body_that_stalls_or_is_cut_ends_in_an_error() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
    for (reply, is_timeout) in
        [(Reply::SendAndHang(short), true), (Reply::SendAndClose(short), false)]
    {
        let (_server, pool, answer) = answer_of(reply).await;
        let mut body = answer.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hel");
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.is_timeout(), is_timeout, "{error}");
        assert_eq!(
            error.to_string().contains("stalled: nothing came for 1 s"),
            is_timeout,
            "{error}"
        );
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn a_reset_does_not_end_a_body_without_a_length() {
    let server = Server::always(Reply::SendAndHang("HTTP/1.1 200 OK\r\n\r\nhel")).await;
    let proxy = Proxy::start(server.address).await.unwrap();
    let client = client(&Pool::fixed("service2", [proxy.addr()]));
    let answer = client.get("http://service2/").await.unwrap();
    proxy.cut().await.unwrap();
    let error = answer.into_body().bytes(64).await.unwrap_err();
    assert!(error.to_string().ends_with("broke off"), "{error}");
}
