//! The answers of a server, over sockets.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use testkit::http::{Answer, Request as TestRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use super::*;
use crate::{
    Client, Discovery, Error, Registration, Settings, ShutdownSignal,
    headers::{INSTANCE, LEAVING, SERVICE},
    registration::Trigger,
};

/// A server of the service `web`, without an agent.
pub(super) struct World {
    pub(super) at: SocketAddr,
    trigger: Trigger,
    serving: JoinHandle<Result<(), Error>>,
}

/// A drain that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

pub(super) async fn start(server: Server) -> World {
    start_with_drain(server, Duration::ZERO).await
}

async fn start_with_drain(server: Server, drain: Duration) -> World {
    let mut settings = Settings::default();
    // Nothing listens on port 1.
    settings.agent.address = "127.0.0.1:1".parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let registration = Registration::new("web", at).id("web-1");
    let registered = Discovery::new(settings).unwrap().register(registration).unwrap();
    let (trigger, signals) = ShutdownSignal::manual();
    let serving = tokio::spawn(
        registered.serve_until(signals, drain, move |lifecycle| server.run(listener, lifecycle)),
    );
    World { at, trigger, serving }
}

pub(super) fn hello() -> Server {
    Server::new().get("/", async |_| text(StatusCode::OK, "hello\n"))
}

async fn get(world: &World, path: &str) -> Answer {
    TestRequest::get(path).send(world.at).await.unwrap()
}

#[tokio::test]
async fn each_request_has_its_answer() {
    let world = start(hello().on(Method::PUT, "/put", async |_| text(StatusCode::OK, ""))).await;
    let service = |name| (SERVICE, HeaderValue::from_static(name));
    for (method, path, named, status, body) in [
        (Method::GET, "/", None, 200, "hello\n"),
        (Method::GET, "/?x=1", None, 200, "hello\n"),
        (Method::HEAD, "/", None, 200, ""),
        (Method::GET, "/", Some(service("web")), 200, "hello\n"),
        (Method::GET, "/", Some(service("WEB")), 200, "hello\n"),
        (Method::GET, "/", Some(service("db")), 421, "this is web\n"),
        (Method::GET, "/health", Some(service("db")), 421, "this is web\n"),
        (Method::POST, "/", None, 405, "POST is not for this path: GET, HEAD\n"),
        (Method::GET, "/put", None, 405, "GET is not for this path: PUT\n"),
        (Method::GET, "/no", None, 404, "no such path: /no\n"),
        (Method::GET, "/health", None, 200, "serving\n"),
        (Method::GET, "/ready", None, 503, "not registered yet\n"),
        (Method::PUT, "/ready", None, 405, "PUT is not for this path: GET, HEAD\n"),
    ] {
        let mut request = TestRequest::new(method.clone(), path);
        if let Some((name, value)) = named.clone() {
            request = request.header(name, value);
        }
        let answer = request.send(world.at).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (status, body),
            "{method} {path} {named:?}"
        );
        assert_eq!(answer.headers[INSTANCE], "web-1@");
        let allowed = body.trim_end().split_once("is not for this path: ").map(|(_, all)| all);
        let allow = answer.headers.get(header::ALLOW).map(|value| value.to_str().unwrap());
        assert_eq!(allow, allowed, "{method} {path}");
        assert!(!answer.headers.contains_key(LEAVING));
    }
}

#[tokio::test]
async fn a_fallback_has_the_paths_that_no_other_handler_has() {
    let echo = async |request: Request| text(StatusCode::OK, request.head.uri.path().to_owned());
    let world = start(hello().fallback(Method::GET, echo)).await;
    for (method, path, status, body) in [
        (Method::GET, "/", 200, "hello\n"),
        (Method::GET, "/health", 200, "serving\n"),
        (Method::GET, "/7", 200, "/7"),
        (Method::GET, "/a/b?c", 200, "/a/b"),
        (Method::HEAD, "/7", 200, ""),
        (Method::PUT, "/7", 405, "PUT is not for this path: GET, HEAD\n"),
        (Method::PUT, "/", 405, "PUT is not for this path: GET, HEAD\n"),
    ] {
        let answer = TestRequest::new(method.clone(), path).send(world.at).await.unwrap();
        let answered = (answer.status.as_u16(), answer.text());
        assert_eq!(answered, (status, body), "{method} {path}");
    }
}

#[tokio::test]
async fn an_instance_adds_its_name_before_those_of_its_upstreams() {
    let server = Server::new().get("/", async |_| {
        let mut response = text(StatusCode::OK, "");
        response.headers_mut().append(INSTANCE, HeaderValue::from_static("db-1@there"));
        response.headers_mut().append(INSTANCE, HeaderValue::from_static("disk@there"));
        response
    });
    let answer = get(&start(server).await, "/").await;
    let names: Vec<_> = answer.headers.get_all(INSTANCE).iter().collect();
    assert_eq!(names, ["web-1@", "db-1@there", "disk@there"]);
}

#[tokio::test]
async fn a_handler_gets_both_addresses_and_the_body() {
    let server = Server::new().on(Method::PUT, "/", async |request: Request| {
        text(
            StatusCode::OK,
            format!("{} {} {}", request.remote.ip(), request.local, request.body.len()),
        )
    });
    let world = start(server).await;
    let answer = TestRequest::put("/").body("12345").send(world.at).await.unwrap();
    assert_eq!(answer.text(), format!("127.0.0.1 {} 5", world.at));
}

#[tokio::test]
async fn a_request_above_a_limit_is_refused() {
    let server = Server::new().on(Method::PUT, "/", async |_| text(StatusCode::OK, ""));
    let world = start(server).await;
    let long = TestRequest::put("/")
        .body(Bytes::from(vec![0; (1 << 20) + 1]))
        .send(world.at)
        .await
        .unwrap();
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let value = HeaderValue::try_from("x".repeat(64 * 1024)).unwrap();
    let headed = TestRequest::put("/").header(header::COOKIE, value).send(world.at).await.unwrap();
    assert_eq!(headed.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_not_the_server() {
    let server = hello().get("/panic", async |_| panic!("on purpose"));
    let world = start(server).await;
    assert!(TestRequest::get("/panic").send(world.at).await.is_err());
    assert_eq!(get(&world, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_draining_server_still_answers_and_is_not_ready() {
    let world = start_with_drain(hello(), LONG).await;
    world.trigger.fire();
    while !get(&world, "/ready").await.headers.contains_key(LEAVING) {}
    let answer = get(&world, "/").await;
    assert_eq!(
        (answer.status, &answer.headers[header::CONNECTION]),
        (StatusCode::OK, &HeaderValue::from_static("close"))
    );
    let ready = get(&world, "/ready").await;
    assert_eq!((ready.status, ready.text()), (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"));
    assert!(!world.serving.is_finished());
}

#[tokio::test]
async fn a_drained_server_finishes_the_requests_in_flight() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asked_tx, go_rx) = (asked.clone(), go.clone());
    let server = hello().get("/slow", move |_| {
        let (asked, go) = (asked_tx.clone(), go_rx.clone());
        async move {
            asked.notify_one();
            go.notified().await;
            text(StatusCode::OK, "done\n")
        }
    });
    let world = start_with_drain(server, Duration::ZERO).await;
    let at = world.at;
    let slow = tokio::spawn(async move { TestRequest::get("/slow").send(at).await.unwrap() });
    asked.notified().await;
    let mut idle = TcpStream::connect(at).await.unwrap();
    world.trigger.fire();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "an idle connection is closed");
    while TcpStream::connect(at).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!world.serving.is_finished(), "a request is in flight");
    go.notify_one();
    assert_eq!(slow.await.unwrap().text(), "done\n");
    world.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_is_kept_between_requests() {
    let world = start(hello()).await;
    let mut stream = TcpStream::connect(world.at).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed early");
        }
    }
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn metrics_and_explanations_are_on_the_admin_listener_only() {
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin_at = admin.local_addr().unwrap();
    let pool = Pool::fixed("db", ["127.0.0.1:5432".parse().unwrap()]);
    let world = start(hello().admin(admin, [pool])).await;
    get(&world, "/").await;
    get(&world, "/no").await;

    assert_eq!(get(&world, "/metrics").await.status, StatusCode::NOT_FOUND);
    let metrics = TestRequest::get("/metrics").send(admin_at).await.unwrap();
    assert_eq!(metrics.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!metrics.text().contains("# EOF"));
    for line in [
        "# HELP discovery_requests_total Requests answered, by status.",
        "# TYPE discovery_requests_total counter",
        "# TYPE discovery_registration gauge",
        "discovery_requests_total{status=\"200\"} 1",
        "discovery_requests_total{status=\"404\"} 2",
        "discovery_registration{state=\"ready\"} 0",
        "discovery_members{service=\"db\",rank=\"passing\"} 1\n",
        "discovery_members{service=\"db\",rank=\"ejected\"} 0",
        "# TYPE discovery_calls_total counter",
        "discovery_calls_total{service=\"db\"} 0",
        "discovery_failed_tries_total{service=\"db\",reason=\"not connected\"} 0",
        "discovery_snapshot_age_seconds{service=\"db\"} ",
        "discovery_snapshot_from_disk{service=\"db\"} 0",
        "discovery_hidden_by_acls{service=\"db\"} 0",
    ] {
        assert!(
            metrics.text().split_inclusive('\n').any(|it| it.starts_with(line)),
            "{line} in\n{}",
            metrics.text()
        );
    }
    let openmetrics = HeaderValue::from_static("application/openmetrics-text");
    let request = TestRequest::get("/metrics").header(header::ACCEPT, openmetrics);
    let metrics = request.send(admin_at).await.unwrap();
    assert_eq!(
        metrics.headers[header::CONTENT_TYPE],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(metrics.text().contains("# TYPE discovery_requests counter\n"));
    assert!(metrics.text().ends_with("# EOF\n"));
    let explained = TestRequest::get("/explain").send(admin_at).await.unwrap();
    let explained: serde_json::Value = serde_json::from_str(explained.text()).unwrap();
    assert_eq!(explained["id"], "web-1");
    assert_eq!(explained["calls"][0]["instances"][0]["address"], "127.0.0.1:5432");
    assert_eq!(explained["calls"][0]["instances"][0]["rank"], "passing");
}

#[tokio::test]
async fn a_handlers_answer_during_the_drain_is_not_marked_as_unserved() {
    let served = Arc::new(AtomicUsize::new(0));
    let busy = || {
        let served = served.clone();
        Server::new().on(Method::POST, "/", move |_| {
            served.fetch_add(1, Relaxed);
            async { text(StatusCode::SERVICE_UNAVAILABLE, "the database is down\n") }
        })
    };
    let worlds = [start_with_drain(busy(), LONG).await, start_with_drain(busy(), LONG).await];
    for world in &worlds {
        world.trigger.fire();
        while !get(world, "/ready").await.headers.contains_key(LEAVING) {}
    }
    let answer = TestRequest::new(Method::POST, "/").send(worlds[0].at).await.unwrap();
    assert!(!answer.headers.contains_key(LEAVING));
    assert_eq!(answer.headers[header::CONNECTION], "close");

    let pool = Pool::fixed("web", worlds.each_ref().map(|world| world.at));
    let client = Client::new(move |_| pool.clone());
    let request = http::Request::post("http://web/").body("").unwrap();
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(served.load(Relaxed), 2, "one for each of the two requests");
}
