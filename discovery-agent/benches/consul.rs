//! The embedded agent compared with a real Consul, each in its own process, measured alternately: requests, DNS queries, start time, memory.
//! It needs a Consul (`CONSUL_BIN`, `PATH`).

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use discovery_agent::Agent;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    dns::hickory_proto::{
        op::{Edns, Message, MessageType, OpCode, Query},
        rr::{Name, RecordType},
    },
    http::Request as TestRequest,
    ratio::interleaved_async,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::Instant,
};

/// The number of connections, and of DNS queries in flight.
const AT_ONCE: usize = 32;
const ROUNDS: usize = 7;
/// The argument with which this program is the agent.
const AGENT: &str = "--be-the-agent";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if env::args().any(|arg| arg == AGENT) {
        runtime.block_on(be_the_agent());
    } else {
        runtime.block_on(compare());
    }
}

/// Prints its addresses, and continues until its standard input ends.
async fn be_the_agent() {
    let agent = Agent::builder().node_name("node1").start().await.unwrap();
    println!("{} {}", agent.http_addr(), agent.dns_addr());
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await.unwrap();
}

/// The embedded agent in its own process.
struct Embedded {
    child: Child,
    http: SocketAddr,
    dns: SocketAddr,
}

impl Embedded {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(AGENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (http, dns) = line.trim().split_once(' ').unwrap();
        Self { child, http: http.parse().unwrap(), dns: dns.parse().unwrap() }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

async fn compare() {
    let Some(binary) = Binary::find() else {
        println!("no consul found (CONSUL_BIN, PATH): nothing to compare with");
        return;
    };
    ready(&binary).await;
    let ours = Embedded::start();
    let real = Consul::of(&binary).start().await.unwrap();
    for to in [ours.http, real.http_addr()] {
        register(to, "three", 3).await;
        register(to, "forty", 40).await;
    }
    println!("{:40} {:>12} {:>12} {:>8}", "per second", "embedded", "consul", "ratio");
    let both = (ours.http, real.http_addr());
    http("health, 3 instances", both, "/v1/health/service/three?passing", 4_000).await;
    http("health, 40 instances", both, "/v1/health/service/forty?passing", 1_000).await;
    http("health, 40 instances, pretty", both, "/v1/health/service/forty?passing&pretty", 1_000)
        .await;
    http("agent/service/:id", both, "/v1/agent/service/forty-7", 4_000).await;
    let both = (ours.dns, real.dns_addr());
    dns("DNS A, 3 instances", both, "three.service.consul.", RecordType::A, 20_000).await;
    dns("DNS A, 40 instances", both, "forty.service.consul.", RecordType::A, 10_000).await;
    dns("DNS SRV, 40 instances", both, "forty.service.consul.", RecordType::SRV, 5_000).await;
    let rss = |pid| resident_kib(pid) as f64 / 1024.0;
    let (embedded, consul) = (rss(ours.child.id()), rss(other_child(ours.child.id())));
    println!(
        "memory after all that, MiB: embedded {embedded:.1}, consul {consul:.1}, ratio {:.3}",
        embedded / consul
    );
}

/// The time from the start of the process to its first answer.
async fn ready(binary: &Binary) {
    let ratio = interleaved_async(
        3,
        async || {
            let agent = Embedded::start();
            answered(agent.http).await;
        },
        async || {
            let consul = Consul::of(binary).start().await.unwrap();
            answered(consul.http_addr()).await;
        },
    )
    .await;
    let ms = |seconds: f64| seconds * 1000.0;
    println!(
        "process start to first answer and stop, ms: embedded {:.1}, consul {:.0}",
        ms(ratio.first),
        ms(ratio.second)
    );
    let started = Instant::now();
    let agent = Agent::start().await.unwrap();
    answered(agent.http_addr()).await;
    println!("in-process start to first answer, ms: {:.2}", ms(started.elapsed().as_secs_f64()));
}

async fn answered(to: SocketAddr) {
    let answer = TestRequest::get("/v1/status/leader").send(to).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

async fn register(to: SocketAddr, name: &str, count: usize) {
    for at in 0..count {
        let service = json!({
            "ID": format!("{name}-{at}"), "Name": name, "Tags": ["v1"], "Port": 8000 + at,
            "Address": format!("10.0.{}.{}", at / 200, at % 200 + 1),
            "Check": { "TTL": "1h", "Status": "passing" },
        });
        let put = TestRequest::put("/v1/agent/service/register").body(service.to_string());
        assert_eq!(put.send(to).await.unwrap().status, StatusCode::OK);
    }
    let all = TestRequest::get(format!("/v1/health/service/{name}?passing"));
    while all.clone().send(to).await.unwrap().json().as_array().unwrap().len() < count {
        tokio::task::yield_now().await;
    }
}

async fn http(what: &str, (ours, real): (SocketAddr, SocketAddr), path: &str, count: usize) {
    let (ours, real) = (connections(ours).await, connections(real).await);
    let ratio = interleaved_async(
        ROUNDS,
        async || requests(&ours, path, count).await,
        async || requests(&real, path, count).await,
    )
    .await;
    print(what, count, &ratio);
}

type Sender = tokio::sync::Mutex<http1::SendRequest<Empty<Bytes>>>;

async fn connections(to: SocketAddr) -> Vec<std::sync::Arc<Sender>> {
    let mut senders = Vec::new();
    for _ in 0..AT_ONCE {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        senders.push(std::sync::Arc::new(Sender::new(sender)));
    }
    senders
}

async fn requests(senders: &[std::sync::Arc<Sender>], path: &str, count: usize) {
    let mut tasks = JoinSet::new();
    for sender in senders {
        let (sender, path) = (sender.clone(), path.to_owned());
        tasks.spawn(async move {
            let mut sender = sender.lock().await;
            for _ in 0..count / AT_ONCE {
                let request = Request::get(&path)
                    .header("host", "localhost")
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    frame.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
}

async fn dns(
    what: &str,
    (ours, real): (SocketAddr, SocketAddr),
    name: &str,
    kind: RecordType,
    count: usize,
) {
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    let query: Bytes = query.to_vec().unwrap().into();
    let (ours, real) = (sockets(ours).await, sockets(real).await);
    let ratio = interleaved_async(
        ROUNDS,
        async || dns_queries(&ours, &query, count).await,
        async || dns_queries(&real, &query, count).await,
    )
    .await;
    print(what, count, &ratio);
}

async fn sockets(to: SocketAddr) -> Vec<std::sync::Arc<UdpSocket>> {
    let mut sockets = Vec::new();
    for _ in 0..AT_ONCE {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(to).await.unwrap();
        sockets.push(std::sync::Arc::new(socket));
    }
    sockets
}

async fn dns_queries(sockets: &[std::sync::Arc<UdpSocket>], query: &Bytes, count: usize) {
    let mut tasks = JoinSet::new();
    for socket in sockets {
        let (socket, mut query) = (socket.clone(), query.to_vec());
        tasks.spawn(async move {
            let mut answer = [0; 4096];
            for id in 0..count / AT_ONCE {
                query[..2].copy_from_slice(&(id as u16).to_be_bytes());
                socket.send(&query).await.unwrap();
                let length = socket.recv(&mut answer).await.unwrap();
                assert_eq!((&answer[..2], answer[3] & 0x0f), (&query[..2], 0));
                assert!(length > query.len());
            }
        });
    }
    tasks.join_all().await;
}

fn print(what: &str, count: usize, ratio: &testkit::ratio::Ratio) {
    let rate = |seconds: f64| (count / AT_ONCE * AT_ONCE) as f64 / seconds;
    let (ours, real) = (rate(ratio.first), rate(ratio.second));
    println!("{what:40} {ours:12.0} {real:12.0} {:7.1}x", 1.0 / ratio.median);
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The other child of this process: the Consul that the testkit started.
fn other_child(known: u32) -> u32 {
    let own = std::process::id();
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let pids = fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let children = pids.filter(|pid| *pid != known && parent(*pid) == Some(own));
    children.max_by_key(|pid| resident_kib(*pid)).unwrap()
}
