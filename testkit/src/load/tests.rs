//! The load on a healthy server and on a proxy with faults.

use std::net::SocketAddr;

use super::*;
use crate::proxy::{Mode, Proxy};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Answers each request with two lines, on kept connections.
async fn server() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut piece = [0; 1024];
                while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none\ntwo\n";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, AbortOnDropHandle::new(task))
}

fn settings() -> LoadSettings {
    LoadSettings { rate: 200.0, right: ok_with_lines(2), ..LoadSettings::default() }
}

async fn run_for(time: Duration, addr: SocketAddr, settings: LoadSettings) -> Report {
    let load = Load::start(&format!("http://{addr}/"), settings).unwrap();
    time::sleep(time).await;
    load.stop().await.unwrap()
}

#[tokio::test]
async fn a_healthy_server_answers_all_on_few_connections() {
    let (addr, _server) = server().await;
    let proxy = Proxy::start(addr).await.unwrap();
    let report = run_for(Duration::from_millis(500), proxy.addr(), settings()).await;
    assert_eq!(report.failures, []);
    // 101 are due by the clock; the sleep of the test may be longer, never shorter.
    assert!(report.sent > 100, "{report}");
    assert_eq!(proxy.requests(), report.sent);
    assert!(proxy.accepted() < report.sent, "connections are not reused: {report}");
}

#[tokio::test]
async fn there_is_one_new_connection_per_request() {
    let (addr, _server) = server().await;
    let proxy = Proxy::start(addr).await.unwrap();
    let settings = LoadSettings { connections: Connections::New, ..settings() };
    let report = run_for(Duration::from_millis(100), proxy.addr(), settings).await;
    assert_eq!(report.failures, []);
    assert_eq!(proxy.accepted(), report.sent);
}

#[tokio::test]
async fn every_failure_is_counted_with_its_reason() {
    let (addr, _server) = server().await;
    let proxy = Proxy::start(addr).await.unwrap();
    let cases = [
        (Mode::Closed, "Connection refused"),
        (Mode::Status(503), "status 503"),
        (Mode::Garbage, "invalid HTTP"),
        (Mode::Hang, "no answer in 100ms"),
    ];
    for (mode, why) in cases {
        proxy.set(mode).await.unwrap();
        let mut settings = settings();
        if mode == Mode::Hang {
            settings.deadline = Duration::from_millis(100);
        }
        let report = run_for(Duration::from_millis(50), proxy.addr(), settings).await;
        assert_eq!((report.ok, report.failed), (0, report.sent), "{mode:?}");
        assert!(report.sent > 0);
        assert!(report.failures[0].why.contains(why), "{mode:?}: {report}");
    }
}

#[tokio::test]
async fn a_stall_does_not_lower_the_load_and_is_charged_to_all_scheduled_requests() {
    let (addr, _server) = server().await;
    let proxy = Proxy::start(addr).await.unwrap();
    proxy.set(Mode::Hang).await.unwrap();
    let load = Load::start(&format!("http://{}/", proxy.addr()), settings()).unwrap();
    time::sleep(Duration::from_millis(500)).await;
    proxy.set(Mode::Pass).await.unwrap();
    let report = load.stop().await.unwrap();
    assert!(report.sent >= 100 && report.failed == 0, "{report}");
    assert!(report.longest_gap >= Duration::from_millis(500), "{report}");
    assert!(report.p50 >= Duration::from_millis(200), "{report}");
}

#[tokio::test]
async fn requests_above_the_limit_fail() {
    let (addr, _server) = server().await;
    let proxy = Proxy::start(addr).await.unwrap();
    proxy.set(Mode::Hang).await.unwrap();
    let settings =
        LoadSettings { in_flight_max: 1, deadline: Duration::from_millis(500), ..settings() };
    let report = run_for(Duration::from_millis(50), proxy.addr(), settings).await;
    assert!(report.failed == report.sent && report.sent > 1, "{report}");
    assert!(report.failures[0].why.contains("too many"), "{report}");
}

#[test]
fn lines_are_counted_by_newlines() {
    let judge = ok_with_lines(2);
    let cases = [("a\nb\n", true), ("a\nb", false), ("a\n", false), ("a\nb\nc\n", false)];
    for (body, right) in cases {
        assert_eq!(judge(StatusCode::OK, &Bytes::from(body)).is_ok(), right, "{body:?}");
    }
    assert!(judge(StatusCode::CREATED, &Bytes::from("a\nb\n")).is_err());
}
