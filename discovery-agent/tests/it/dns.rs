//! Clients of DNS over TCP do not affect each other.

use std::{io, net::SocketAddr};

use discovery_agent::Agent;
use serde_json::json;
use testkit::dns::{
    Via, ask,
    hickory_proto::{
        op::{Message, MessageType, OpCode, Query, ResponseCode},
        rr::{Name, RecordType},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::requests::{put, until};

/// The agent's limit of connections per client.
const CONNECTIONS_PER_CLIENT_MAX: usize = 256;

/// A query for all SRV records of `web`, in TCP framing.
fn framed() -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("web.service.consul.").unwrap();
    message.add_query(Query::query(name, RecordType::SRV));
    let bytes = message.to_vec().unwrap();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

/// Sends one query and reads the length of its answer.
async fn exchange(stream: &mut TcpStream) -> io::Result<u16> {
    stream.write_all(&framed()).await?;
    let length = stream.read_u16().await?;
    stream.read_exact(&mut vec![0; length.into()]).await?;
    Ok(length)
}

/// An agent with this number of instances of `web`.
async fn agent_with(instances: usize) -> Agent {
    let agent = Agent::start().await.unwrap();
    for number in 0..instances {
        let address = format!("10.0.{}.{}", number / 256, number % 256);
        let service = json!({ "ID": number.to_string(), "Name": "web", "Address": address });
        put(agent.http_addr(), "/v1/agent/service/register", &service).await;
    }
    agent
}

async fn is_served(to: SocketAddr) {
    let answer = ask(to, "web.service.consul", RecordType::SRV, Via::Tcp).await.unwrap();
    assert_eq!(answer.code(), ResponseCode::NoError);
}

#[tokio::test]
async fn connections_above_the_limit_block_no_client() {
    let agent = agent_with(1).await;
    let to = agent.dns_addr();
    let mut used = TcpStream::connect(to).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_PER_CLIENT_MAX {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // The answer shows that the connection has a permit.
        exchange(&mut stream).await.unwrap();
        held.push(stream);
        exchange(&mut used).await.expect("a connection in use keeps its permit");
    }
    for _ in 0..3 {
        is_served(to).await;
    }
    exchange(&mut used).await.expect("a connection in use keeps its permit");
}

/// More answers than the buffers of a socket hold.
const UNREAD: usize = 200;

#[tokio::test]
async fn a_client_that_reads_no_answer_is_disconnected() {
    let agent = agent_with(300).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(agent.dns_addr()).await.unwrap();
    stream.write_all(&framed().repeat(UNREAD)).await.unwrap();
    // The agent closes with queries unread, which resets the connection.
    until(|| stream.take_error().unwrap().is_some()).await;
    assert!(agent.dns_queries() < UNREAD as u64, "{}", agent.dns_queries());
    is_served(agent.dns_addr()).await;
}
