//! Idle connections that the server closes between two calls: the next call was certainly not sent, so it uses a new connection with every
//! method.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    sync::mpsc,
    thread,
};

use discovery::Pool;
use http::Method;
use testkit::proxy::Proxy;
use tokio::runtime::{self, Handle};

use super::{
    client, eventually, request,
    server::{OK, Reply, Server},
};

const CALLS: usize = 5;

async fn post(client: &discovery::Client) -> String {
    let answer = client.request(request(Method::POST)).await.unwrap();
    answer.into_body().text(64).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_its_server_ended_is_not_used() {
    for reply in [
        Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Reply::SendAndClose("HTTP/1.1 200 OK\r\n\r\nhello"),
        Reply::SendAndShutDown("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Reply::SendAndHang(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        ),
        Reply::SendAndHang("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        Reply::SendAndClose("HTTP/1.0 200 OK\r\n\r\nhello"),
        // Bytes beyond the announced length are not the next answer.
        Reply::Send(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
    ] {
        let server = Server::always(reply).await;
        let client = client(&Pool::fixed("service2", [server.address]));
        for _ in 0..CALLS {
            assert_eq!(post(&client).await, "hello", "{reply:?}");
        }
        assert_eq!((server.accepted(), server.requests().len()), (CALLS, CALLS), "{reply:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_or_reset_while_idle_fails_no_call() {
    for is_reset in [false, true] {
        let server = Server::always(OK).await;
        let proxy = Proxy::start(server.address).await.unwrap();
        let client = client(&Pool::fixed("service2", [proxy.addr()]));
        for _ in 0..CALLS {
            assert_eq!(post(&client).await, "hello");
            if is_reset { proxy.cut().await.unwrap() } else { proxy.close().await.unwrap() }
        }
        let seen = (proxy.accepted(), server.requests().len());
        assert_eq!(seen, (CALLS as u64, CALLS), "reset: {is_reset}");
    }
}

#[tokio::test]
async fn all_idle_connections_may_be_closed_at_once() {
    let server = Server::always(OK).await;
    let proxy = Proxy::start(server.address).await.unwrap();
    let client = client(&Pool::fixed("service2", [proxy.addr()]));
    let calls = async || {
        let calls = (0..8).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.request(request(Method::POST)).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap().unwrap().into_body().text(64).await.unwrap(), "hello");
        }
    };
    calls().await;
    proxy.close().await.unwrap();
    calls().await;
    assert_eq!(server.requests().len(), 16);
}

/// What a server does with a connection after an answer.
#[derive(Debug, Clone, Copy)]
enum Then {
    Closes,
    /// Shuts down its sending side, and continues to read.
    ShutsDown,
    /// Sends an answer without a request.
    SendsMore,
}

/// A server on its own thread, which answers one request per connection, ends the connection on command, and reports that.
struct OnThread {
    address: SocketAddr,
    end: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl OnThread {
    fn start(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((end, told), (ended_tx, ended)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            let mut left_open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
                if told.recv().is_err() {
                    return;
                }
                match then {
                    Then::Closes => drop(stream),
                    Then::ShutsDown => {
                        stream.shutdown(Shutdown::Write).unwrap();
                        left_open.push(stream);
                    }
                    Then::SendsMore => {
                        let more = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
                        stream.write_all(more).unwrap();
                        left_open.push(stream);
                    }
                }
                ended_tx.send(()).unwrap();
            }
        });
        Self { address, end, ended }
    }

    /// Blocks this thread, so that the runtime does not notice.
    fn end(&self) {
        self.end.send(()).unwrap();
        self.ended.recv().unwrap();
    }
}

#[tokio::test]
async fn an_end_that_the_runtime_has_not_noticed_yet_is_seen() {
    for then in [Then::Closes, Then::ShutsDown, Then::SendsMore] {
        let server = OnThread::start(then);
        let client = client(&Pool::fixed("service2", [server.address]));
        for _ in 0..CALLS {
            assert_eq!(post(&client).await, "hello", "{then:?}");
            server.end();
        }
    }
}

#[tokio::test]
async fn idle_connections_and_their_tasks_end_without_a_call() {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    // Also a second time, after all have ended.
    for _ in 0..2 {
        assert_eq!(post(&client).await, "hello");
        assert_eq!(server.open(), 1);
        eventually(|| server.open() == 0 && tasks() == before).await;
    }
}

#[test]
fn a_connection_whose_runtime_ended_fails_no_call_on_another() {
    let runtime = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let of_server = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let of_server = of_server.unwrap();
    let server = of_server.block_on(Server::always(OK));
    let client = client(&Pool::fixed("service2", [server.address]));
    for accepted in 1..=3 {
        let calls = async {
            for _ in 0..2 {
                assert_eq!(post(&client).await, "hello");
            }
        };
        runtime().block_on(calls);
        assert_eq!(server.accepted(), accepted);
    }
}
