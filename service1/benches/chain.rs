//! The hello chain through discovery compared with the same chain with a fixed address: requests per second, alternately. The goal is 97 %.
//!
//! Each part has its own process: the embedded agent with the load, service2, and service1 twice. The first is the real service1; the second
//! has the same routes and calls service2 at its address through hyper-util's pooling client, as a program without discovery.
//! `cargo bench -p service1 --bench chain`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and panics when it can't continue"
)]

use std::{
    env,
    ffi::OsString,
    net::SocketAddr,
    process::{Child, Command, ExitCode},
    time::Duration,
};

use bytes::Bytes;
use discovery::{
    Discovery, Registration, headers,
    serve::{Request, Server, text},
    shutdown_signal,
};
use discovery_agent::Agent;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use program::Outcome;
use testkit::{
    http::Request as TestRequest,
    ratio::{Ratio, interleaved_async},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

const ROUNDS: usize = 100;
/// The numbers of connections, and the requests per round that they share: a round takes some 0.1 s.
const SETTINGS: [(usize, usize); 3] = [(1, 400), (16, 2_000), (64, 4_000)];
/// Each setting is measured so many times, since the load of a machine varies.
const TURNS: usize = 2;
/// The time limit of a call from service1 to service2, in both.
const CALL: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    match arguments.get(1).and_then(|role| role.to_str()) {
        Some("service1") => service1::main(arguments.split_off(1)),
        Some("service2") => service2::main(arguments.split_off(1)),
        Some("fixed") => {
            program::start("warn", serve_fixed(arguments[2].to_str().unwrap().to_owned()))
        }
        _ => program::start("warn", measure()),
    }
}

async fn measure() -> Outcome {
    let agent = Agent::start().await?;
    let start = |arguments: &[&str]| Process::start(agent.http_addr(), arguments);
    let _service2 = start(&["service2", "--listen", "127.0.0.1:0"]);
    let service2 = address(&agent, "service2").await;
    let _fixed = start(&["fixed", &format!("http://{service2}/")]);
    let _by_name = start(&["service1", "--listen", "127.0.0.1:0"]);
    let (fixed, by_name) = (address(&agent, "fixed").await, address(&agent, "service1").await);
    for _ in 0..TURNS {
        for (at_once, requests) in SETTINGS {
            let (mut direct, mut named) =
                (connect(fixed, at_once).await, connect(by_name, at_once).await);
            let ratio = interleaved_async(
                ROUNDS,
                async || call(&mut direct, requests).await,
                async || call(&mut named, requests).await,
            );
            println!("{at_once:2} at once: {}", summary(ratio.await, requests));
        }
    }
    Ok(())
}

/// Requests per second are the reciprocal of times.
fn summary(ratio: Ratio, requests: usize) -> String {
    let [least, median, most] = [ratio.min, ratio.median, ratio.max].map(|ratio| ratio * 100.0);
    let [fixed, named] = [ratio.first, ratio.second].map(|seconds| requests as f64 / seconds);
    format!(
        "{median:.1} % ({least:.0} to {most:.0}): {named:.0}/s through discovery, {fixed:.0}/s at a fixed address"
    )
}

/// One process of the chain, killed at the end of the bench.
struct Process(Child);

impl Process {
    fn start(agent: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(arguments).env("CONSUL_HTTP_ADDR", agent.to_string()).env("RUST_LOG", "warn");
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The address of a service, once it is registered.
async fn address(agent: &Agent, service: &str) -> SocketAddr {
    let request = TestRequest::get(format!("/v1/health/service/{service}?passing"));
    loop {
        let answer = request.clone().send(agent.http_addr()).await.unwrap().json();
        if let Some(port) = answer[0]["Service"]["Port"].as_u64() {
            return ([127, 0, 0, 1], port.try_into().unwrap()).into();
        }
        sleep(Duration::from_millis(10)).await;
    }
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(to: SocketAddr, connections: usize) -> Vec<(Connection, SocketAddr)> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        opened.push((sender, to));
    }
    opened
}

/// Each connection sends its next request after an answer, until it has sent its share.
async fn call(connections: &mut Vec<(Connection, SocketAddr)>, requests: usize) {
    let (mut running, share) = (JoinSet::new(), requests / connections.len());
    for (mut connection, to) in connections.drain(..) {
        running.spawn(async move {
            for _ in 0..share {
                connection.ready().await.unwrap();
                let request = http::Request::get("/").header("host", to.to_string());
                let answer = connection.send_request(request.body(Full::default()).unwrap());
                let lines = answer.await.unwrap().into_body().collect().await.unwrap().to_bytes();
                assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 4);
            }
            (connection, to)
        });
    }
    *connections = running.join_all().await;
}

/// service1 with a fixed address of service2.
async fn serve_fixed(url: String) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let url: http::Uri = url.parse()?;
    let server = Server::new().get("/", move |request| relay(client.clone(), url.clone(), request));
    let registration = Registration::new("fixed", listener.local_addr()?);
    let registered = Discovery::from_env()?.register(registration)?;
    registered
        .serve_until(shutdown_signal(), Duration::ZERO, |lifecycle| server.run(listener, lifecycle))
        .await?;
    Ok(())
}

async fn relay(
    client: Client<HttpConnector, Full<Bytes>>,
    url: http::Uri,
    request: Request,
) -> Response<Bytes> {
    let ask = async {
        let (head, body) = client.get(url).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let (head, lines) = timeout(CALL, ask).await.unwrap();
    let own = format!("Hello from {}\nto {}\n", request.remote, request.local);
    let mut response = text(StatusCode::OK, own + str::from_utf8(&lines).unwrap());
    for hop in head.headers.get_all(headers::INSTANCE) {
        response.headers_mut().append(headers::INSTANCE, hop.clone());
    }
    response
}
