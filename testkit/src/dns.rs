//! Sends one DNS query over a plain socket and returns the parsed answer unchanged: a test sees the header bits, the order of the records,
//! and the length. hickory-proto encodes and decodes the messages.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time,
};

pub use hickory_proto;

/// The time limit for an answer. A DNS server on this machine answers in milliseconds; slow machines need more.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The transport of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// UDP without EDNS: answers of 512 bytes at most.
    PlainUdp,
    /// UDP with EDNS, which sets the maximum length of the answer.
    Edns(u16),
    /// TCP without EDNS.
    Tcp,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The message.
    pub message: Message,
    /// Its length on the wire, in bytes.
    pub length: usize,
}

/// Sends a query for records of one type and name. `name` is absolute, with or without a trailing dot.
///
/// # Errors
///
/// The name is invalid, there is no answer within 10 s, or the message is not an answer to the query.
pub async fn ask(to: SocketAddr, name: &str, kind: RecordType, via: Via) -> io::Result<Answer> {
    let query = query(name, kind, via)?;
    let sent = query.to_vec().map_err(io::Error::other)?;
    let exchange = async {
        match via {
            Via::PlainUdp | Via::Edns(_) => over_udp(to, &sent).await,
            Via::Tcp => over_tcp(to, &sent).await,
        }
    };
    let received = time::timeout(ANSWER_WITHIN, exchange)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {name}")))??;
    let message = Message::from_vec(&received).map_err(io::Error::other)?;
    if message.metadata.id != query.metadata.id
        || message.metadata.message_type != MessageType::Response
    {
        return Err(io::Error::other(format!("not an answer to the query: {message:?}")));
    }
    Ok(Answer { message, length: received.len() })
}

impl Answer {
    /// `NOERROR`, `NXDOMAIN`...
    pub fn code(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The answer section, each record as `name ttl TYPE data`, in its order.
    pub fn answers(&self) -> Vec<String> {
        lines(&self.message.answers)
    }

    /// The authority section, as [`answers`](Self::answers).
    pub fn authorities(&self) -> Vec<String> {
        lines(&self.message.authorities)
    }

    /// The additional section without the EDNS record, as [`answers`](Self::answers).
    pub fn additionals(&self) -> Vec<String> {
        lines(&self.message.additionals)
    }

    /// The data of the answer section's records, without their names.
    pub fn data(&self) -> Vec<&RData> {
        self.message.answers.iter().map(|record| &record.data).collect()
    }
}

fn lines(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
    };
    records.iter().map(line).collect()
}

fn query(name: &str, kind: RecordType, via: Via) -> io::Result<Message> {
    let mut name = Name::from_ascii(name).map_err(io::Error::other)?;
    name.set_fqdn(true);
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    if let Via::Edns(size) = via {
        let mut edns = Edns::new();
        edns.set_max_payload(size).set_version(0);
        message.set_edns(edns);
    }
    Ok(message)
}

async fn over_udp(to: SocketAddr, sent: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    socket.send(sent).await?;
    let mut received = vec![0; usize::from(u16::MAX)];
    let length = socket.recv(&mut received).await?;
    received.truncate(length);
    Ok(received)
}

async fn over_tcp(to: SocketAddr, sent: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    let length = u16::try_from(sent.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), sent].concat()).await?;
    let mut received = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut received).await?;
    Ok(received)
}
