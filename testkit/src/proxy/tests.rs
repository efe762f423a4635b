//! Each mode of the proxy, in front of a healthy server.

use super::*;
use crate::http::{Answer, Request};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::AbortHandle,
    time,
};

/// Long enough for data to arrive.
const A_WHILE: Duration = Duration::from_millis(200);

/// Answers every read with 200 and the body `real`, on reused connections.
struct Upstream(SocketAddr, AbortHandle);

impl Drop for Upstream {
    fn drop(&mut self) {
        self.1.abort();
    }
}

async fn upstream() -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut piece = [0; 1024];
                while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    Upstream(addr, task.abort_handle())
}

async fn ask(proxy: &Proxy) -> io::Result<Answer> {
    Request::get("/").send(proxy.addr()).await
}

#[tokio::test]
async fn each_mode_applies_to_new_connections() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();

    assert_eq!(ask(&proxy).await.unwrap().text(), "real");
    proxy.set(Mode::Status(418)).await.unwrap();
    assert_eq!(ask(&proxy).await.unwrap().status, StatusCode::IM_A_TEAPOT);
    proxy.set(Mode::Garbage).await.unwrap();
    assert!(ask(&proxy).await.unwrap_err().to_string().contains("invalid HTTP"));
    assert_eq!((proxy.accepted(), proxy.requests()), (3, 3));

    proxy.set(Mode::Closed).await.unwrap();
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(proxy.accepted(), 3);
    proxy.set(Mode::Reset).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let reset = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    proxy.set(Mode::Pass).await.unwrap();
    assert_eq!(ask(&proxy).await.unwrap().text(), "real");
}

#[tokio::test]
async fn the_port_is_kept_while_processes_are_started() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();
    // Until it executes its program, a new process has a copy of each socket.
    let starts = std::thread::spawn(|| {
        for _ in 0..300 {
            std::process::Command::new("true").status().unwrap();
        }
    });
    while !starts.is_finished() {
        proxy.set(Mode::Closed).await.unwrap();
        assert!(TcpStream::connect(proxy.addr()).await.is_err());
        proxy.set(Mode::Pass).await.unwrap();
        assert_eq!(ask(&proxy).await.unwrap().text(), "real");
    }
    starts.join().unwrap();
}

#[tokio::test]
async fn hanging_ends_with_the_mode() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();
    proxy.set(Mode::Hang).await.unwrap();
    let answer = ask(&proxy);
    tokio::pin!(answer);
    assert!(time::timeout(A_WHILE, &mut answer).await.is_err(), "it should hang");
    proxy.set(Mode::Pass).await.unwrap();
    assert_eq!(answer.await.unwrap().text(), "real");
}

#[tokio::test]
async fn a_delay_is_at_least_as_long_as_configured() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();
    proxy.set(Mode::Delay(A_WHILE)).await.unwrap();
    let asked_at = time::Instant::now();
    assert_eq!(ask(&proxy).await.unwrap().text(), "real");
    assert!(asked_at.elapsed() >= A_WHILE);
}

#[tokio::test]
async fn open_connections_follow_the_mode_and_end_with_a_cut() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let mut answer = [0; 256];
    let request = b"GET / HTTP/1.1\r\n\r\n";

    stream.write_all(request).await.unwrap();
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    // The listener is closed to new connections; the open one continues.
    proxy.set(Mode::Closed).await.unwrap();
    stream.write_all(request).await.unwrap();
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    proxy.set(Mode::Hang).await.unwrap();
    stream.write_all(request).await.unwrap();
    assert!(time::timeout(A_WHILE, stream.read(&mut answer)).await.is_err(), "it should hang");
    proxy.cut().await.unwrap();
    let reset = stream.read(&mut answer).await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.requests(), 2, "a hanging connection reads nothing");
}

#[tokio::test]
async fn open_connections_are_closed_gracefully_and_new_ones_pass() {
    let upstream = upstream().await;
    let proxy = Proxy::start(upstream.0).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = [0; 256];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    proxy.close().await.unwrap();
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0, "the end, not a reset");
    assert_eq!(ask(&proxy).await.unwrap().text(), "real");
}
