//! Servers that refuse, go away, and break off.

use std::{net::SocketAddr, time::Duration};

use discovery::{CallOptions, Client, Pool, TryError};
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::{
    super::{in_flight, request, server},
    client, client_with,
    frames::{
        ENHANCE_YOUR_CALM, HANG, INTERNAL_ERROR, NO_ERROR, OK, REFUSED_STREAM, Reply, Server, data,
        frame, go_away, head, header, hello, reset,
    },
    options, read,
};

/// Enough for each instance to be picked first by some.
const CALLS: usize = 20;

/// The limit of tries that get no answer: long enough for one that comes, on a slow machine.
const QUICK: Duration = Duration::from_millis(500);

fn quick() -> CallOptions {
    options().try_timeout(QUICK).stall_timeout(QUICK)
}

/// Whether all calls with these options succeed while one of two instances is this one.
async fn all_succeed(bad: SocketAddr, options: &CallOptions, method: Method) -> bool {
    let good = Server::always(OK).await;
    let mut all = true;
    for _ in 0..CALLS {
        // A new pool per call, without statistics: so about half of the calls pick the bad one first.
        let pool = Pool::fixed("service2", [bad, good.address]);
        let answer = client_with(&pool, options.clone()).request(request(method.clone())).await;
        all &= answer.is_ok_and(|answer| answer.status() == StatusCode::OK);
        assert_eq!(in_flight(&pool), 0);
    }
    all
}

/// Why a call fails whose only instance is this one.
async fn why(bad: SocketAddr, options: &CallOptions) -> TryError {
    let pool = Pool::fixed("service2", [bad]);
    client_with(&pool, options.clone()).get("http://service2/").await.unwrap_err().tried()[0].why
}

/// A frame of HTTP/2 with an impossible length.
fn garbage(_: u32) -> Vec<u8> {
    vec![0xff; 64]
}

fn many_headers(stream: u32) -> Vec<u8> {
    let headers: Vec<u8> = (0..101).flat_map(|nth| header(&format!("x-{nth}"), "1")).collect();
    head(stream, &headers)
}

/// More than 64 KiB of headers, in frames of their own size.
fn long_head(stream: u32) -> Vec<u8> {
    const CONTINUATION: u8 = 9;
    let line = header("x-long", &"x".repeat(100));
    let [lines, end] = [(0, 0), (9, 4)].map(|(_, flags)| (line.repeat(90), flags));
    // The head without its flag for the end, then continuations, of which the last has it.
    let mut frames = frame(1, 0, stream, &[&[0x88], &*lines.0].concat());
    for flags in [lines.1; 8].into_iter().chain([end.1]) {
        frames.extend(frame(CONTINUATION, flags, stream, &end.0));
    }
    frames
}

#[tokio::test]
async fn one_odd_instance_of_two_fails_no_call_that_may_be_sent_again() {
    let closed = TryError::Closed;
    for (bad, post, reason) in [
        // It names no request that it may serve.
        (Reply::Send(|_| go_away(0, NO_ERROR)), true, closed),
        (Reply::Send(|_| go_away(0, ENHANCE_YOUR_CALM)), true, closed),
        (Reply::SendAndClose(|_| go_away(0, NO_ERROR)), true, closed),
        // It may serve this one.
        (Reply::SendAndClose(|stream| go_away(stream, INTERNAL_ERROR)), false, closed),
        (Reply::SendAndClose(|stream| go_away(stream, NO_ERROR)), false, closed),
        (Reply::Send(|stream| reset(stream, REFUSED_STREAM)), true, TryError::StreamRefused),
        (Reply::Send(|stream| reset(stream, INTERNAL_ERROR)), false, TryError::Reset(2)),
        (Reply::SendAndClose(|_| Vec::new()), false, closed),
        (Reply::Send(garbage), false, TryError::Garbled),
        (Reply::Send(many_headers), false, TryError::HeadTooLong),
        (Reply::Send(long_head), false, TryError::HeadTooLong),
        (HANG, false, TryError::Silent(QUICK)),
    ] {
        let (server, is_silent) = (Server::always(bad).await, reason == TryError::Silent(QUICK));
        let (at, options) = (server.address, if is_silent { quick() } else { options() });
        assert_eq!(why(at, &options).await, reason, "{bad:?}");
        assert!(all_succeed(at, &options, Method::GET).await, "GET, {reason:?}");
        assert_eq!(all_succeed(at, &options, Method::POST).await, post, "POST, {reason:?}");
    }
}

/// Reads the start of a connection and sends these bytes.
async fn raw(answer: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.ok();
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_server_without_http2_is_named_and_gets_no_request() {
    let http1 = server::Server::always(server::OK).await;
    let (closing, task) = raw("").await;
    let (refusing, other) = raw("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    for address in [http1.address, closing, refusing] {
        assert_eq!(why(address, &options()).await, TryError::NoHttp2);
        assert!(all_succeed(address, &options(), Method::POST).await);
    }
    let pool = Pool::fixed("service2", [closing]);
    let error = client(&pool).get("http://service2/").await.unwrap_err().to_string();
    let text = format!("{closing} did not answer with HTTP/2: it may have HTTP/1.1 only");
    assert!(error.contains(&text), "{error}");
    task.abort();
    other.abort();
}

#[tokio::test]
async fn a_kept_connection_that_its_server_gave_up_fails_no_call() {
    for reply in [
        Reply::Send(|_| go_away(0, NO_ERROR)),
        Reply::SendAndClose(|_| go_away(1, NO_ERROR)),
        Reply::Send(|stream| reset(stream, REFUSED_STREAM)),
        // The end of the connection arrives while it is idle.
        Reply::SendAndClose(hello),
        Reply::Send(|stream| [hello(stream), go_away(stream, NO_ERROR)].concat()),
    ] {
        let server = Server::start(move |nth| if nth % 2 == 1 { reply } else { OK }).await;
        let client = client(&Pool::fixed("service2", [server.address]));
        for _ in 0..CALLS {
            let answer = client.request(request(Method::POST)).await.unwrap();
            assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
        }
        assert!(server.accepted() >= CALLS / 2, "{}", server.accepted());
    }
}

#[tokio::test]
async fn a_request_that_a_leaving_server_still_serves_is_answered() {
    let leaving = |stream| [go_away(stream, NO_ERROR), hello(stream)].concat();
    let server = Server::always(Reply::Send(leaving)).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    for accepted in 1..=3 {
        assert_eq!(read(&client).await, "hello");
        assert_eq!(server.accepted(), accepted);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stalls_is_an_error_and_its_stream_is_reset() {
    let short = |stream| [head(stream, &[]), data(stream, b"hel")].concat();
    let lied = |stream| {
        let length = header("content-length", "5");
        [head(stream, &length), frame(0, 1, stream, b"hel")].concat()
    };
    let broken =
        |stream| [head(stream, &[]), data(stream, b"hel"), reset(stream, INTERNAL_ERROR)].concat();
    for (reply, is_timeout) in [
        (Reply::Send(short), true),
        (Reply::SendAndClose(short), false),
        (Reply::Send(lied), false),
        (Reply::Send(broken), false),
    ] {
        let server = Server::always(reply).await;
        let pool = Pool::fixed("service2", [server.address]);
        let client: Client = client_with(&pool, if is_timeout { quick() } else { options() });
        let answer = client.request(request(Method::POST)).await.unwrap();
        let error = answer.into_body().text(64).await.unwrap_err();
        assert!(error.is_call() && !error.is_retryable(), "{error}");
        assert_eq!(error.is_timeout(), is_timeout, "{error}");
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_arrives_any_more_is_replaced() {
    let server = Server::start(|nth| if nth == 1 { HANG } else { OK }).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    assert_eq!(read(&client).await, "hello");
    let hasty = client.with_options(quick()).unwrap();
    let silent = hasty.request(request(Method::POST)).await.unwrap_err();
    assert_eq!(silent.tried()[0].why, TryError::Silent(QUICK));
    assert_eq!(read(&client).await, "hello");
    assert_eq!(server.accepted(), 2);
}
