//! The time limits of a route: what the client gets when one of the two ends is too slow.

use std::{io, net::SocketAddr, time::Duration};

use ambassador::{Ambassador, Config, Route, RouteOptions, Target};
use discovery::Query;
use discovery_agent::Agent;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    fixed,
    instance::{
        Answering::{Name, With},
        Instance,
    },
    message::{Message, Unframed},
    start,
};
use crate::tcp::world::{catalog, left, maintain, register};

/// The limit that a test is about. All others are longer than the test may take.
const LIMIT: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
/// The deadline of everything that a test waits for, generous for a slow machine.
const SOON: Duration = Duration::from_secs(60);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// An ambassador in front of these instances of `web`, with one short limit.
fn limited(
    instances: &[SocketAddr],
    set: impl FnOnce(&mut RouteOptions),
) -> (Ambassador, SocketAddr) {
    start(fixed(instances), Target::Http(Query::new("web")), |options| {
        options.idle_timeout = Some(HOUR);
        let http = &mut options.http;
        (http.head, http.client, http.response, http.stall, http.retry) =
            (HOUR, HOUR, HOUR, HOUR, HOUR);
        set(options);
    })
}

/// Sends these bytes and keeps its sending side open: what comes, and how the connection ends.
async fn exchange(at: SocketAddr, request: &str) -> (String, End) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut got)).await.expect("the limit ends it");
    (String::from_utf8(got).unwrap(), ended.into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

impl From<io::Result<usize>> for End {
    fn from(ended: io::Result<usize>) -> Self {
        match ended {
            Ok(_) => Self::Closed,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Self::Reset,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The status and the body of the one response in these bytes.
fn response(bytes: &str) -> String {
    let (message, rest) = Message::first(bytes.as_bytes(), Unframed::ToTheEnd, false).unwrap();
    assert!(message.is_complete && rest.is_empty(), "{bytes}");
    format!("{} {}", &message.start[9..12], message.body)
}

#[tokio::test]
async fn a_head_that_is_never_complete_gets_408() {
    let instance = Instance::start(Name("one")).await;
    let (_ambassador, at) = limited(&[instance.at], |options| options.http.head = LIMIT);
    let late = "408 the head of the request was not complete in time\n";
    for part in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
        let (got, end) = exchange(at, part).await;
        assert_eq!((&*response(&got), end), (late, End::Closed), "{part:?}");
    }
    // Its limit begins with its first byte, also behind another request.
    let (got, end) = exchange(at, &format!("{GET}GET /")).await;
    let (first, second) = got.split_at(got.find("HTTP/1.1 408").unwrap());
    assert_eq!((&*response(first), &*response(second)), ("200 one web", late));
    assert_eq!(end, End::Closed);
    assert_eq!(instance.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_without_an_answer() {
    let instance = Instance::start(Name("one")).await;
    let (_ambassador, at) = limited(&[instance.at], |options| options.idle_timeout = Some(LIMIT));
    assert_eq!(exchange(at, "").await, (String::new(), End::Closed));
    let (got, end) = exchange(at, GET).await;
    assert_eq!((&*response(&got), end), ("200 one web", End::Closed));
    assert!(!got.contains("Connection: close"), "it could have been used again: {got}");
}

#[tokio::test]
async fn a_request_whose_body_stops_gets_408() {
    let instance = Instance::start(Name("one")).await;
    let (_ambassador, at) = limited(&[instance.at], |options| options.http.client = LIMIT);
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    ] {
        let (got, end) = exchange(at, request).await;
        let late = "408 no more of the body of the request came in time\n";
        assert_eq!((&*response(&got), end), (late, End::Closed), "{request:?}");
        // The instance must not take the part for the whole.
        timeout(SOON, instance.closed()).await.unwrap();
        assert!(!instance.seen().last().unwrap().is_complete);
    }
}

#[tokio::test]
async fn an_instance_that_never_answers_costs_a_request_only_if_it_can_not_be_sent_again() {
    let (silent, good) = (Instance::start(With("")).await, Instance::start(Name("good")).await);
    let (_ambassador, at) = limited(&[silent.at, good.at], |options| options.http.response = LIMIT);
    while silent.seen().is_empty() {
        let (got, _) =
            exchange(at, &GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(response(&got), "200 good web");
    }
    let silent = Instance::start(With("")).await;
    let (_ambassador, at) = limited(&[silent.at], |options| options.http.response = LIMIT);
    let (got, _) = exchange(at, &POST.replace("Host: a", "Host: a\r\nConnection: close")).await;
    let text = format!(
        "504 no answer from web: {} no answer in 100 ms; POST is not sent twice\n",
        silent.at
    );
    assert_eq!(response(&got), text);
    timeout(SOON, silent.closed()).await.unwrap();
}

#[tokio::test]
async fn no_instance_is_tried_after_the_limit_on_retries() {
    for (retry, tried) in [(HOUR, 2), (LIMIT / 2, 1)] {
        let (one, two) = (Instance::start(With("")).await, Instance::start(With("")).await);
        let (_ambassador, at) = limited(&[one.at, two.at], |options| {
            options.http.response = LIMIT;
            options.http.retry = retry;
        });
        let get = GET.replace("Host: a", "Host: a\r\nConnection: close");
        let (got, _) = exchange(at, &get).await;
        assert!(got.starts_with("HTTP/1.1 504 "), "{got}");
        assert_eq!(one.seen().len() + two.seen().len(), tried, "{got}");
    }
}

#[tokio::test]
async fn an_instance_that_accepts_no_more_of_a_body_gets_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, at) =
        limited(&[listener.local_addr().unwrap()], |options| options.http.stall = LIMIT);
    let mut stream = TcpStream::connect(at).await.unwrap();
    let (mut from, mut to) = stream.split();
    // It accepts the connection, and reads nothing.
    let instance = async { listener.accept().await.unwrap() };
    let sending = async {
        to.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
            .await
            .unwrap();
        // More than all buffers on the way take.
        while to.write_all(&[0; 64 * 1024]).await.is_ok() {}
    };
    let receiving = async {
        let mut got = Vec::new();
        while from.read_buf(&mut got).await.is_ok_and(|count| count > 0) {}
        String::from_utf8(got).unwrap()
    };
    let all = async { tokio::join!(instance, sending, receiving) };
    let (_instance, (), got) = timeout(SOON, all).await.unwrap();
    assert!(got.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{got}");
    assert!(
        got.ends_with("accepted no more of the request for 100 ms; POST is not sent twice\n"),
        "{got}"
    );
}

#[tokio::test]
async fn a_response_that_stops_after_its_head_is_cut_off_by_a_reset() {
    for (answer, got) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ),
    ] {
        let instance = Instance::start(With(answer)).await;
        let (_ambassador, at) = limited(&[instance.at], |options| options.http.stall = LIMIT);
        assert_eq!(exchange(at, GET).await, (got.to_owned(), End::Reset));
        timeout(SOON, instance.closed()).await.unwrap();
    }
}

/// Both ends of a connection that was upgraded to another protocol.
async fn upgraded(at: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(at).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut instance, _) = listener.accept().await.unwrap();
    read_head(&mut instance).await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    instance.write_all(answer.as_bytes()).await.unwrap();
    read_head(&mut client).await;
    (client, instance)
}

/// Both ends of a request whose response has half of its body so far; the client has read the head.
async fn half_answered(at: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(at).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut instance, _) = listener.accept().await.unwrap();
    read_head(&mut instance).await;
    instance.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await.unwrap();
    read_head(&mut client).await;
    (client, instance)
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

async fn end(stream: &mut TcpStream) -> End {
    timeout(SOON, stream.read_to_end(&mut Vec::new())).await.expect("the limit ends it").into()
}

#[tokio::test]
async fn an_upgraded_connection_without_traffic_is_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instances = [listener.local_addr().unwrap()];
    let (_ambassador, at) = limited(&instances, |options| options.idle_timeout = Some(LIMIT));
    let (mut client, mut instance) = upgraded(at, &listener).await;
    assert_eq!((end(&mut client).await, end(&mut instance).await), (End::Reset, End::Reset));
}

#[tokio::test]
async fn an_upgraded_connection_of_a_removed_route_may_linger() {
    for linger in [None, Some(LIMIT)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let instances = [listener.local_addr().unwrap()];
        let (ambassador, at) = limited(&instances, |options| options.linger = linger);
        let (mut client, mut instance) = upgraded(at, &listener).await;
        let other: Route = "127.0.0.2:0=other".parse().unwrap();
        ambassador.apply(&Config::new(vec![other]).unwrap()).unwrap();
        if linger.is_some() {
            assert_eq!(
                (end(&mut client).await, end(&mut instance).await),
                (End::Reset, End::Reset)
            );
        } else {
            // Its port closes, and it continues.
            while TcpStream::connect(at).await.is_ok() {
                tokio::task::yield_now().await;
            }
            client.write_all(b"hi").await.unwrap();
            let mut got = [0; 2];
            timeout(SOON, instance.read_exact(&mut got)).await.unwrap().unwrap();
            assert_eq!(&got, b"hi");
        }
    }
}

#[tokio::test]
async fn a_response_of_a_removed_route_may_linger() {
    for linger in [None, Some(LIMIT)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let instances = [listener.local_addr().unwrap()];
        let (ambassador, at) = limited(&instances, |options| options.linger = linger);
        let (mut client, mut instance) = half_answered(at, &listener).await;
        let other: Route = "127.0.0.2:0=other".parse().unwrap();
        ambassador.apply(&Config::new(vec![other]).unwrap()).unwrap();
        if linger.is_some() {
            assert_eq!(end(&mut client).await, End::Reset);
            timeout(SOON, instance.read_to_end(&mut Vec::new())).await.expect("it is closed").ok();
        } else {
            while TcpStream::connect(at).await.is_ok() {
                tokio::task::yield_now().await;
            }
            instance.write_all(b"b").await.unwrap();
            let mut got = Vec::new();
            timeout(SOON, client.read_to_end(&mut got)).await.unwrap().unwrap();
            assert_eq!(got, b"ab");
        }
    }
}

#[tokio::test]
async fn a_response_of_an_instance_that_left_may_linger() {
    for linger in [None, Some(LIMIT)] {
        let agent = Agent::start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let instance_at = listener.local_addr().unwrap();
        register(&agent, "echo", instance_at).await;
        let discovery = catalog(&agent);
        let pool = discovery.pool("echo");
        let (_ambassador, at) =
            start(discovery, Target::Http(Query::new("echo")), |it| it.linger = linger);
        let (mut client, mut instance) = half_answered(at, &listener).await;
        assert_eq!(client.read_u8().await.unwrap(), b'a');
        maintain(&agent, "echo").await;
        left(&pool, instance_at.port()).await;
        if linger.is_some() {
            assert_eq!(end(&mut client).await, End::Reset);
        } else {
            instance.write_all(b"b").await.unwrap();
            assert_eq!(timeout(SOON, client.read_u8()).await.unwrap().unwrap(), b'b');
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, at) =
        limited(&[listener.local_addr().unwrap()], |options| options.http.client = LIMIT);
    let mut client = TcpStream::connect(at).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    let instance = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
        // More than all buffers on the way take.
        while stream.write_all(&[0; 64 * 1024]).await.is_ok() {}
    };
    timeout(SOON, instance).await.expect("its connection is closed as well");
    let mut got = Vec::new();
    timeout(SOON, client.read_to_end(&mut got)).await.unwrap().ok();
    assert!(got.len() < 1_000_000_000);
}
