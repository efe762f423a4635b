//! Messages other than a plain query: malformed ones, other operations and classes, many on one connection.

use std::{collections::BTreeSet, time::Duration};

use testkit::dns::hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time,
};

use super::{ask, is_no_data};
use crate::{
    table::{Row, row},
    target::Target,
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_malformed_message_is_a_format_error),
    row!(a_message_without_a_query_has_no_answer),
    row!(operations_other_than_a_query_are_not_implemented),
    row!(a_transfer_is_not_implemented),
    row!(other_classes_and_notifications_are_refused)
        .ours_is_better("Consul answers them as queries for the class IN"),
    row!(two_edns_records_are_a_format_error)
        .ours_is_better("Consul uses the first, which violates RFC 6891"),
    row!(a_half_closed_connection_gets_all_its_answers),
];

/// The time limit for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A query with this id for the address of `consul.service.consul`.
fn query(id: u16, kind: RecordType) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("consul.service.consul.").unwrap();
    message.add_query(Query::query(name, kind));
    message
}

/// A query with changed bytes.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = query(7, RecordType::A).to_vec().unwrap();
    change(&mut bytes);
    bytes
}

/// A query for these bytes as a name.
fn with_name(name: &[u8]) -> Vec<u8> {
    changed(|bytes| {
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0, 1, 0, 1]);
    })
}

const HEADER_BYTES: usize = 12;

/// The first answer to any of these, by UDP and by TCP.
async fn first_answers(target: &Target, messages: &[Vec<u8>]) -> [Message; 2] {
    let exchange = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(target.dns_addr()).await.unwrap();
        let mut stream = TcpStream::connect(target.dns_addr()).await.unwrap();
        for message in messages {
            socket.send(message).await.unwrap();
            stream.write_all(&framed(message)).await.unwrap();
        }
        let mut received = [0; 4096];
        let length = socket.recv(&mut received).await.unwrap();
        [Message::from_vec(&received[..length]).unwrap(), next(&mut stream).await.unwrap()]
    };
    time::timeout(ANSWER_WITHIN, exchange).await.expect("no answer")
}

/// A message in TCP framing.
fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The next message; `None` at the end of the connection.
async fn next(stream: &mut TcpStream) -> Option<Message> {
    let length = stream.read_u16().await.ok()?;
    let mut received = vec![0; length.into()];
    stream.read_exact(&mut received).await.unwrap();
    Some(Message::from_vec(&received).unwrap())
}

/// Sends this, and asserts code and id of the answer.
async fn gets(target: &Target, what: &str, message: Vec<u8>, code: ResponseCode) {
    for answer in first_answers(target, &[message]).await {
        let header = &answer.metadata;
        assert_eq!((header.id, header.response_code), (7, code), "{what}");
        assert_eq!(header.message_type, MessageType::Response, "{what}");
        assert_eq!(answer.answers.len(), 0, "{what}");
    }
}

async fn a_malformed_message_is_a_format_error(target: &Target) {
    let long = |parts: usize| [&b"\x01a".repeat(parts)[..], b"\x06consul\0"].concat();
    let label = [&[64][..], &[b'a'; 64], b"\x06consul\0"].concat();
    let cases = [
        ("no query", changed(|bytes| bytes[5] = 0)),
        ("two questions that are one", changed(|bytes| bytes[5] = 2)),
        (
            "two questions",
            changed(|bytes| {
                let again = bytes[HEADER_BYTES..].to_vec();
                bytes.extend(again);
                bytes[5] = 2;
            }),
        ),
        ("half a query", changed(|bytes| bytes.truncate(HEADER_BYTES + 9))),
        ("a pointer to itself", with_name(b"\xc0\x0c")),
        ("a pointer in a circle", with_name(b"\x01a\xc0\x0c")),
        ("a pointer ahead", with_name(b"\x01a\xc0\xff")),
        ("a label of 64", with_name(&label)),
        ("a name of 256", with_name(&long(124))),
    ];
    for (what, message) in cases {
        gets(target, what, message, ResponseCode::FormErr).await;
    }
    // The longest valid name.
    gets(target, "a name of 255", with_name(&long(123)), ResponseCode::NXDomain).await;
}

async fn a_message_without_a_query_has_no_answer(target: &Target) {
    let after = query(8, RecordType::A).to_vec().unwrap();
    let cases = [
        ("an answer", changed(|bytes| bytes[2] |= 0x80)),
        ("half a header", changed(|bytes| bytes.truncate(HEADER_BYTES - 1))),
        ("nothing", Vec::new()),
    ];
    for (what, message) in cases {
        for answer in first_answers(target, &[message.clone(), after.clone()]).await {
            assert_eq!(answer.metadata.id, 8, "{what}");
        }
    }
}

async fn operations_other_than_a_query_are_not_implemented(target: &Target) {
    for operation in [1, 2, 3, 5, 6, 15] {
        let message = changed(|bytes| bytes[2] |= operation << 3);
        gets(target, &format!("{operation}"), message, ResponseCode::NotImp).await;
    }
}

async fn a_transfer_is_not_implemented(target: &Target) {
    let whole = query(7, RecordType::AXFR).to_vec().unwrap();
    gets(target, "AXFR", whole, ResponseCode::NotImp).await;
    is_no_data(&ask(target, "consul.service.consul", RecordType::IXFR).await);
}

async fn other_classes_and_notifications_are_refused(target: &Target) {
    let class = |class| {
        let mut message = query(7, RecordType::A);
        message.queries[0].set_query_class(class);
        message.to_vec().unwrap()
    };
    let cases = [
        ("CH", class(DNSClass::CH), ResponseCode::Refused),
        ("HS", class(DNSClass::HS), ResponseCode::Refused),
        ("NONE", class(DNSClass::NONE), ResponseCode::Refused),
        ("77", class(DNSClass::Unknown(77)), ResponseCode::Refused),
        ("NOTIFY", changed(|bytes| bytes[2] |= 4 << 3), ResponseCode::NotImp),
    ];
    for (what, message, code) in cases {
        if !target.is_real() {
            gets(target, what, message, code).await;
            continue;
        }
        for answer in first_answers(target, &[message]).await {
            let got = (answer.metadata.response_code, answer.answers.len());
            assert_eq!(got, (ResponseCode::NoError, 1), "{what}");
        }
    }
}

async fn two_edns_records_are_a_format_error(target: &Target) {
    let message = changed(|bytes| {
        bytes[11] = 2;
        // Root, OPT, 1232 bytes, no options.
        bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0".repeat(2));
    });
    for answer in first_answers(target, &[message]).await {
        let code = if target.is_real() { ResponseCode::NoError } else { ResponseCode::FormErr };
        assert_eq!(answer.metadata.response_code, code);
    }
}

/// A client that has shut down its sending side still reads.
async fn a_half_closed_connection_gets_all_its_answers(target: &Target) {
    const QUESTIONS: u16 = 50;
    let mut stream = TcpStream::connect(target.dns_addr()).await.unwrap();
    for id in 0..QUESTIONS {
        let message = query(id, RecordType::A).to_vec().unwrap();
        stream.write_all(&framed(&message)).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut ids = BTreeSet::new();
    let all = async {
        while let Some(answer) = next(&mut stream).await {
            ids.insert(answer.metadata.id);
        }
    };
    time::timeout(ANSWER_WITHIN, all).await.expect("the connection should be closed");
    assert_eq!(ids, (0..QUESTIONS).collect());
}
