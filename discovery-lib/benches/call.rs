//! Requests per second by service name, compared with a plain reused hyper connection to a fixed address, alternately: only the caller's side
//! of a hop, relative to the minimum that a program needs. `service1/benches/chain.rs` measures a whole chain.
//!
//! The first picks one of two instances per request, the second has one connection per worker, driven by a task as in hyper's documentation.
//! The servers have their own thread. `cargo bench -p discovery-lib --bench call`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and panics when it can't continue"
)]

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use discovery::{Client, Pool};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use testkit::ratio::{Ratio, interleaved_async};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    task::JoinSet,
};

const ROUNDS: usize = 30;
/// The number of requests per round, shared by its workers.
const REQUESTS: usize = 8_000;
/// The answer of an instance of the hello chain: two lines.
const ANSWER: &[u8] = b"Hello from 127.0.0.1:40000\nto 127.0.0.1:8002\n";
const ANSWER_MAX: usize = 1024;

fn main() {
    let servers = [start_server(), start_server()];
    let two_threads =
        || runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    for at_once in [1, 16, 128] {
        for (threads, runtime) in
            [("one thread", current_thread()), ("two threads", two_threads().unwrap())]
        {
            let ratio = runtime.block_on(compare(&servers, at_once));
            println!("{at_once:3} at once on {threads:11}: {}", summary(ratio));
        }
    }
}

fn current_thread() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Requests per second are the reciprocal of times.
fn summary(ratio: Ratio) -> String {
    let [least, median, most] = [ratio.min, ratio.median, ratio.max].map(|ratio| ratio * 100.0);
    let [bare, named] = [ratio.first, ratio.second].map(|seconds| REQUESTS as f64 / seconds);
    format!("{median:.1} % ({least:.0} to {most:.0}): {named:.0}/s by name, {bare:.0}/s bare")
}

/// Bare connections first, by service name second.
async fn compare(servers: &[SocketAddr; 2], workers: usize) -> Ratio {
    let pool = Pool::fixed("service2", *servers);
    let client = Client::new(move |_| pool.clone());
    let mut bare = Vec::new();
    for worker in 0..workers {
        bare.push(Bare::connect(servers[worker % 2]).await);
    }
    interleaved_async(
        ROUNDS,
        async || {
            let mut running = JoinSet::new();
            for mut connection in bare.drain(..) {
                running.spawn(async move {
                    for _ in 0..REQUESTS / workers {
                        connection.get().await;
                    }
                    connection
                });
            }
            bare = running.join_all().await;
        },
        async || {
            let mut running = JoinSet::new();
            for _ in 0..workers {
                let client = client.clone();
                running.spawn(async move {
                    for _ in 0..REQUESTS / workers {
                        let answer = client.get("http://service2/").send().await.unwrap();
                        assert_eq!(answer.into_body().bytes(ANSWER_MAX).await.unwrap(), ANSWER);
                    }
                });
            }
            running.join_all().await;
        },
    )
    .await
}

/// A reused connection, written by hand.
struct Bare {
    sender: client::conn::http1::SendRequest<Full<Bytes>>,
    host: String,
}

impl Bare {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, host: address.to_string() }
    }

    async fn get(&mut self) {
        self.sender.ready().await.unwrap();
        let request = Request::get("/").header("host", &self.host).body(Full::default()).unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), ANSWER);
    }
}

/// Serves on a thread of its own until the process ends.
fn start_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(|| current_thread().block_on(serve(listener)));
    address
}

async fn serve(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let answer = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(ANSWER)))
        });
        tokio::spawn(
            server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
        );
    }
}
