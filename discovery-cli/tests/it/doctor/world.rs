//! What the tests of `doctor` run it against: registrations, a canned agent, a DNS server of another network.

use std::net::{Ipv4Addr, SocketAddr};

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{
    dns::hickory_proto::{
        op::{Message, MessageType},
        rr::{RData, Record, rdata::A},
    },
    http::Request,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::process::{discovery, done, text};

/// One run with a page, and one with `--json`.
pub(super) struct Seen {
    pub(super) code: i32,
    pub(super) page: String,
    pub(super) json: Value,
    pub(super) kinds: Vec<String>,
}

/// Runs it twice: the findings are the same.
pub(super) async fn run(arguments: &[String], variables: &[(&str, &str)]) -> Seen {
    let mut command = discovery(&["doctor"]);
    let page = done(command.args(arguments).envs(variables.iter().copied())).await;
    let mut command = discovery(&["doctor", "--json"]);
    let output = done(command.args(arguments).envs(variables.iter().copied())).await;
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|err| panic!("{err}: {}", text(&output.stderr)));
    let findings = json["findings"].as_array().unwrap();
    let kinds = findings.iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect();
    Seen { code: page.status.code().unwrap(), page: text(&page.stdout), json, kinds }
}

pub(super) async fn put(to: SocketAddr, path: &str, body: &str) {
    let answer = Request::put(path).body(body.to_owned()).send(to).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
}

/// An instance with a TTL check.
pub(super) async fn register(agent: SocketAddr, service: &str, at: SocketAddr, status: &str) {
    let body = json!({
        "ID": format!("{service}-{}", at.port()), "Name": service, "Address": at.ip(), "Port": at.port(),
        "Check": { "TTL": "1h", "Status": status },
    });
    put(agent, "/v1/agent/service/register", &body.to_string()).await;
}

/// The answers of a well agent of one server, by path.
pub(super) fn well() -> Value {
    let member = json!({ "Name": "here", "Addr": "127.0.0.1", "Port": 8301, "Status": 1,
        "Tags": { "role": "consul", "port": "8300", "wan_join_port": "8302" } });
    json!({
        "/v1/status/leader": "127.0.0.1:8300",
        "/v1/agent/self": { "Member": member },
        "/v1/agent/members": [member],
        "/v1/catalog/nodes": [{ "Node": "here", "Address": "127.0.0.1" }],
        "/v1/catalog/services": { "consul": [] },
        "/v1/health/service/consul": [],
    })
}

/// A server in the place of an agent that answers each path with the same JSON, 404 for others.
pub(super) struct Canned;

impl Canned {
    pub(super) async fn start(answers: Value, headers: &[&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers.clone(), headers.clone()));
            }
        });
        at
    }
}

async fn answer(mut stream: TcpStream, answers: Value, headers: String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = text(&head);
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let found = answers.get(path.split('?').next().unwrap_or_default());
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok();
}

/// A DNS server that has this address for each name.
pub(super) async fn dns_that_answers(address: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut received = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut received).await {
            let query = Message::from_vec(&received[..length]).unwrap();
            let name = query.queries[0].name().clone();
            let mut answer = query.clone();
            answer.metadata.message_type = MessageType::Response;
            answer.answers = vec![Record::from_rdata(name, 0, RData::A(A(address)))];
            socket.send_to(&answer.to_vec().unwrap(), from).await.ok();
        }
    });
    at
}
