//! DNS queries over UDP, as most programs send them: to Consul's server and to the system's.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};
use tokio::{
    net::{UdpSocket, lookup_host},
    task::JoinSet,
    time::timeout,
};

use crate::{
    doctor::facts::{Dns, Lookup},
    look::Consul,
};

/// Deadline of one answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);
/// The name of Consul's own servers; each catalog has it.
const NAME: &str = "consul.service.consul";
/// The largest UDP answer.
const ANSWER_BYTES_MAX: usize = 65_535;

/// The addresses of Consul's servers by both.
pub(super) async fn servers(consul: &Consul, resolver: Option<SocketAddr>) -> Dns {
    let system = async {
        match resolver {
            Some(server) => Some((server, ask(Ok(server), NAME, RecordType::A).await)),
            None => None,
        }
    };
    let of_consul = async { ask(server(consul).await, NAME, RecordType::A).await };
    let (of_consul, system) = tokio::join!(of_consul, system);
    let address = consul.discovery().settings().dns.to_string();
    Dns { address, name: NAME.to_owned(), consul: of_consul, system, services: BTreeMap::new() }
}

/// The SRV records of each service, by Consul.
pub(super) async fn services(consul: &Consul, services: &[String]) -> BTreeMap<String, Lookup> {
    let Ok(server) = server(consul).await else { return BTreeMap::new() };
    let mut queries = JoinSet::new();
    for service in services.iter().cloned() {
        queries.spawn(async move {
            let name = format!("{service}.service.consul");
            let answer = ask(Ok(server), &name, RecordType::SRV).await;
            (service, answer)
        });
    }
    queries.join_all().await.into_iter().collect()
}

async fn server(consul: &Consul) -> io::Result<SocketAddr> {
    let dns = &consul.discovery().settings().dns;
    let host = dns.host.to_string();
    let found = lookup_host((host.trim_matches(['[', ']']), dns.port));
    let mut found = timeout(ANSWER_WITHIN, found).await.map_err(|_| io::ErrorKind::TimedOut)??;
    found.next().ok_or_else(|| io::Error::other("its name has no address"))
}

async fn ask(server: io::Result<SocketAddr>, name: &str, kind: RecordType) -> Lookup {
    let exchange = async { exchange(server?, name, kind).await };
    match timeout(ANSWER_WITHIN, exchange).await {
        Ok(Ok(message)) => lookup(&message),
        Ok(Err(err)) => Lookup::Failed(err.to_string()),
        Err(_) => Lookup::Failed(format!("no answer within {} ms", ANSWER_WITHIN.as_millis())),
    }
}

async fn exchange(server: SocketAddr, name: &str, kind: RecordType) -> io::Result<Message> {
    let mut name = Name::from_ascii(name).map_err(io::Error::other)?;
    name.set_fqdn(true);
    let mut query = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, kind));
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&query.to_vec().map_err(io::Error::other)?).await?;
    let mut received = vec![0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut received).await?;
        // Only from that server, but perhaps not the answer to this query.
        match Message::from_vec(&received[..length]) {
            Ok(message) if message.metadata.id == query.metadata.id => return Ok(message),
            Ok(_) | Err(_) => {}
        }
    }
}

fn lookup(message: &Message) -> Lookup {
    let addresses: BTreeSet<IpAddr> = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
        .collect();
    Lookup::Answered {
        code: message.metadata.response_code.to_string(),
        addresses,
        count: message.answers.len(),
        is_truncated: message.metadata.truncation,
    }
}
