//! Heads, bodies and trailers in both directions, and their flow control.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use discovery::{Pool, RequestBody, TryError};
use http::{HeaderMap, Method, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::mpsc, time::sleep};

use super::{
    super::eventually,
    client, client_with,
    frames::{self, HANG, Reply, head, hello},
    options,
    server::Server,
};

type Item = Result<Frame<Bytes>, io::Error>;

/// A body whose frames come from a channel.
struct Channel {
    frames: mpsc::Receiver<Item>,
    length: Option<u64>,
    polled: Arc<AtomicUsize>,
}

impl Body for Channel {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let frame = self.frames.poll_recv(cx);
        self.polled.fetch_add(usize::from(frame.is_ready()), Relaxed);
        frame
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A body that takes its frames from the other end.
fn channel(length: Option<u64>) -> (mpsc::Sender<Item>, RequestBody) {
    let (tx, frames) = mpsc::channel(1);
    (tx, RequestBody::new(Channel { frames, length, polled: Arc::default() }))
}

/// A body of these frames, which ends after them.
fn body(frames: Vec<Item>, length: Option<u64>) -> RequestBody {
    let (tx, body) = channel(length);
    tokio::spawn(async move {
        for frame in frames {
            tx.send(frame).await.ok();
        }
    });
    body
}

fn data(text: &'static str) -> Item {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn post(body: impl Into<RequestBody>) -> Request<RequestBody> {
    Request::post("http://service2/orders?id=7").body(body.into()).unwrap()
}

#[tokio::test]
async fn a_head_has_what_http2_needs_and_nothing_for_one_hop() {
    let server = Server::open().await;
    let client = client(&Pool::fixed("service2", [server.address]));
    for (headers, authority, te) in [
        (&[][..], "service2", None),
        (
            &[("host", "shop.example:8080"), ("te", "trailers")],
            "shop.example:8080",
            Some("trailers"),
        ),
        (&[("te", "gzip, trailers;q=1"), ("te", "Trailers")], "service2", Some("trailers")),
        (
            &[("connection", "x-mine"), ("x-mine", "1"), ("keep-alive", "5"), ("te", "gzip")],
            "service2",
            None,
        ),
    ] {
        let mut request = post("tea");
        for &(name, value) in headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.into_body().text(64).await.unwrap(), "tea");
        let sent = server.take_requests().pop().unwrap();
        assert_eq!(sent.head.uri.to_string(), format!("http://{authority}/orders?id=7"));
        assert_eq!(sent.head.method, Method::POST);
        let headers = &sent.head.headers;
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            &["content-length", "discovery-service"][..],
            if te.is_some() { &["te"] } else { &[] },
        ];
        assert_eq!(names, expected.concat());
        assert_eq!(headers.get("te").map(|te| te.to_str().unwrap()), te);
    }
}

#[tokio::test]
async fn lengths_and_trailers_pass_both_ways() {
    let server = Server::open().await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let mut mine = HeaderMap::new();
    mine.insert("x-mine", "1".parse().unwrap());
    for (sent, length, trailers) in [
        (RequestBody::from("hello"), Some("5"), 0),
        (RequestBody::from(()), Some("0"), 0),
        (body(vec![data("he"), data(""), data("llo")], Some(5)), Some("5"), 0),
        (body(vec![data("he"), data("llo")], None), None, 0),
        (body(vec![data("hello"), Ok(Frame::trailers(mine.clone()))], None), None, 1),
        (body(vec![data("hello"), Ok(Frame::trailers(mine.clone()))], Some(5)), Some("5"), 1),
    ] {
        let answer = client.request(post(sent)).await.unwrap().into_body().collect().await.unwrap();
        let text = if length == Some("0") { "" } else { "hello" };
        assert_eq!(answer.trailers().unwrap()["x-sum"], text.len().to_string());
        assert_eq!(answer.to_bytes(), text);
        let received = server.take_requests().pop().unwrap();
        assert_eq!(received.body, text);
        let stated = received.head.headers.get("content-length");
        assert_eq!(stated.map(|it| it.to_str().unwrap()), length);
        assert_eq!(received.trailers.len(), trailers);
    }
    assert_eq!(server.accepted(), 1);
}

/// More than all windows hold.
const LENGTH: usize = 32 << 20;

#[tokio::test]
async fn a_long_body_passes_both_ways() {
    let server = Server::open().await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let sent = Bytes::from(vec![b'x'; LENGTH]);
    let answer = client.request(post(sent.clone())).await.unwrap();
    assert!(answer.into_body().bytes(LENGTH).await.unwrap() == sent);
}

#[tokio::test]
async fn bodies_that_nobody_reads_hold_up_no_other_call() {
    let server = Server::open().await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let mut unread = Vec::new();
    for _ in 0..99 {
        let body = Bytes::from(vec![b'x'; 1 << 20]);
        unread.push(client.request(post(body)).await.unwrap());
    }
    let answer = client.request(post("tea")).await.unwrap();
    assert_eq!(answer.into_body().text(64).await.unwrap(), "tea");
    for answer in unread {
        assert_eq!(answer.into_body().bytes(1 << 20).await.unwrap().len(), 1 << 20);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_upload_that_the_windows_stop_is_a_stall() {
    let stall = Duration::from_millis(100);
    let server = frames::Server::always(HANG).await;
    let stalls = options().stall_timeout(stall);
    let client = client_with(&Pool::fixed("service2", [server.address]), stalls);
    let error = client.request(post(vec![b'x'; LENGTH])).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::Stalled(stall));
    assert!(error.is_timeout() && !error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_producer_that_pauses_is_not_a_stall_and_one_without_end_is_limited_by_the_call() {
    let server = Server::open().await;
    let pool = Pool::fixed("service2", [server.address]);
    let short = Duration::from_millis(200);
    let stalls = || options().stall_timeout(short);
    let (tx, body) = channel(None);
    tokio::spawn(async move {
        for text in ["he", "l", "lo"] {
            sleep(4 * short).await;
            tx.send(data(text)).await.unwrap();
        }
    });
    let answer = client_with(&pool, stalls()).request(post(body)).await.unwrap();
    assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    let (_tx, body) = channel(Some(5));
    let limited = stalls().try_timeout(short).call_timeout(4 * short);
    let error = client_with(&pool, limited).request(post(body)).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::BodyUnfinished(4 * short), "{error}");
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_of_the_caller() {
    let server = Server::open().await;
    let pool = Pool::fixed("service2", [server.address]);
    for (frames, length) in [
        (vec![data("hel"), Err(io::Error::other("disk failed"))], Some(5)),
        (vec![data("hel"), Err(io::Error::other("disk failed"))], None),
        (vec![data("hel")], Some(5)),
        (vec![data("hello"), data("hello")], Some(7)),
    ] {
        let fails = frames.iter().any(Result::is_err);
        let error = client(&pool).request(post(body(frames, length))).await.unwrap_err();
        assert_eq!(error.tried()[0].why, TryError::BodyFailed, "{error}");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source, fails.then(|| "disk failed".to_owned()));
    }
    assert_eq!(pool.explain().instances[0].member.unwrap().ejection, None);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_request_continues_while_nobody_reads_the_response() {
    // Its head is there at once, its body never ends.
    let server = frames::Server::always(Reply::Send(|stream| head(stream, &[]))).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let (tx, body) = channel(None);
    let answer = client.request(post(body)).await.unwrap();
    for _ in 0..20 {
        tx.send(data("tea")).await.unwrap();
    }
    drop(answer);
    eventually(|| tx.is_closed()).await;
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    let server = frames::Server::always(Reply::Send(hello)).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    for _ in 0..3 {
        let answer = client.request(post(vec![b'x'; LENGTH])).await.unwrap();
        assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    }
    assert_eq!(server.accepted(), 1);
}
