//! Requests whose body is a stream: sent as fast as the instance accepts it, and again only if it is short.

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
use discovery::{CallOptions, Pool, RequestBody, TryError};
use http::{HeaderMap, Method, Request};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::sleep,
};

use super::{
    client,
    server::{CLOSE, OK, Reply, Server},
    unused,
};

type Item = Result<Frame<Bytes>, io::Error>;

/// A body whose frames come from a channel.
struct Channel {
    frames: mpsc::UnboundedReceiver<Item>,
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

/// A body of these frames, which ends after them.
fn body(frames: Vec<Item>, length: Option<u64>) -> RequestBody {
    let (tx, rx) = mpsc::unbounded_channel();
    frames.into_iter().for_each(|frame| tx.send(frame).unwrap());
    RequestBody::new(Channel { frames: rx, length, polled: Arc::default() })
}

fn data(text: &'static str) -> Item {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn request(method: Method, body: RequestBody) -> Request<RequestBody> {
    Request::builder().method(method).uri("http://service2/").body(body).unwrap()
}

#[tokio::test]
async fn a_stream_of_known_length_is_sent_whole_and_its_connection_is_kept() {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    for _ in 0..3 {
        let body = body(vec![data("he"), data(""), data("llo")], Some(5));
        let answer = client.request(request(Method::POST, body)).await.unwrap();
        assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    }
    assert_eq!(server.accepted(), 1);
    for sent in server.requests() {
        assert!(
            sent.contains("content-length: 5\r\n") && sent.ends_with("\r\n\r\nhello"),
            "{sent}"
        );
    }
}

/// Accepts one connection, reads until this text, and answers; returns what it read.
async fn read_until(listener: TcpListener, end: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn trailers_that_the_head_announces_are_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&Pool::fixed("service2", [listener.local_addr().unwrap()]));
    let server = tokio::spawn(read_until(listener, "x-sum: 7\r\n\r\n"));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let body = body(vec![data("hello"), Ok(Frame::trailers(trailers))], None);
    let mut request = request(Method::POST, body);
    request.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    assert_eq!(client.request(request).await.unwrap().status(), 200);
    let sent = server.await.unwrap();
    assert!(sent.ends_with("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn a_producer_that_pauses_is_not_a_stall_of_the_instance() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = Pool::fixed("service2", [listener.local_addr().unwrap()]);
    let server = tokio::spawn(read_until(listener, "0\r\n\r\n"));
    let short = Duration::from_millis(50);
    let options = CallOptions::default().stall_timeout(short).call_timeout(Duration::from_secs(60));
    let client = client(&pool).with_options(options).unwrap();
    let (tx, frames) = mpsc::unbounded_channel();
    let body = RequestBody::new(Channel { frames, length: None, polled: Arc::default() });
    tokio::spawn(async move {
        for text in ["he", "l", "lo"] {
            sleep(6 * short).await;
            tx.send(data(text)).unwrap();
        }
    });
    let answer = client.request(request(Method::POST, body)).await.unwrap();
    assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    assert!(server.await.unwrap().ends_with("2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn an_endless_producer_is_limited_by_the_call_and_ejects_no_instance() {
    let server = Server::always(OK).await;
    let call = Duration::from_millis(200);
    let options = CallOptions::default().stall_timeout(call / 4).call_timeout(call);
    let pool = Pool::fixed("service2", [server.address]);
    let client = client(&pool).with_options(options).unwrap();
    let (_tx, frames) = mpsc::unbounded_channel();
    let body = RequestBody::new(Channel { frames, length: Some(5), polled: Arc::default() });
    let error = client.request(request(Method::PUT, body)).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::BodyUnfinished(call), "{error}");
    assert!(error.is_timeout());
}

#[tokio::test]
async fn a_stream_is_retried_while_no_more_was_read_from_it_than_is_kept() {
    const LEAVING: Reply =
        Reply::Send("HTTP/1.1 503 Busy\r\nDiscovery-Leaving: 1\r\nContent-Length: 0\r\n\r\n");
    let (closing, leaving) = (Server::always(CLOSE).await, Server::always(LEAVING).await);
    let good = Server::always(OK).await;
    let (short, long): (&'static str, &'static str) = ("hello", "x".repeat(100_000).leak());
    for (bad, method, sent, may_fail) in [
        (unused(), Method::POST, long, false),
        (closing.address, Method::PUT, short, false),
        (closing.address, Method::POST, short, true),
        (closing.address, Method::PUT, long, true),
        (leaving.address, Method::POST, short, false),
        (leaving.address, Method::POST, long, true),
    ] {
        let mut failed = 0;
        for _ in 0..20 {
            let client = client(&Pool::fixed("service2", [bad, good.address]));
            let (first, rest) = sent.split_at(sent.len() / 2);
            let body = body(vec![data(first), data(rest)], Some(sent.len() as u64));
            match client.request(request(method.clone(), body)).await {
                Ok(answer) => assert_eq!(answer.into_body().text(64).await.unwrap(), "hello"),
                Err(error) => {
                    failed += 1;
                    assert_eq!(error.tried().len(), 1, "{error}");
                    assert!(error.to_string().ends_with(" is not sent twice"), "{error}");
                }
            }
        }
        assert_eq!(failed > 0, may_fail, "{method}, {} bytes: {failed} calls failed", sent.len());
        let served = good.requests();
        assert!(served.iter().all(|it| it.ends_with(short) || it.ends_with(long)));
    }
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_of_the_caller() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    for (frames, length) in [
        (vec![data("hel"), Err(io::Error::other("disk failed"))], Some(5)),
        (vec![data("hel"), Err(io::Error::other("disk failed"))], None),
        (vec![data("hel")], Some(5)),
    ] {
        let fails = frames.len() > 1;
        let sent = client(&pool).request(request(Method::POST, body(frames, length))).await;
        let error = sent.unwrap_err();
        assert_eq!(error.tried()[0].why, TryError::BodyFailed, "{error}");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source, fails.then(|| "disk failed".to_owned()));
    }
    assert_eq!(pool.explain().instances[0].member.unwrap().ejection, None);
}

#[tokio::test]
async fn a_stream_is_polled_no_faster_than_the_instance_accepts_it() {
    const FRAMES: usize = 4096;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = Pool::fixed("service2", [listener.local_addr().unwrap()]);
    let options = CallOptions::default().stall_timeout(Duration::from_millis(200));
    let client = client(&pool).with_options(options).unwrap();
    let (tx, frames) = mpsc::unbounded_channel();
    for _ in 0..FRAMES {
        tx.send(Ok(Frame::data(Bytes::from(vec![b'x'; 64 << 10])))).unwrap();
    }
    let polled = Arc::<AtomicUsize>::default();
    let body = RequestBody::new(Channel { frames, length: None, polled: polled.clone() });
    // Nothing is ever read there.
    let error = client.request(request(Method::POST, body)).await.unwrap_err();
    assert!(matches!(error.tried()[0].why, TryError::Stalled(_)), "{error}");
    let polled = polled.load(Relaxed);
    assert!(polled < FRAMES / 4, "{polled} of {FRAMES} frames were taken");
}
