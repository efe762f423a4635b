//! The reply for each answer of a DNS server, over a real connection. Consul's own answers are covered by the tests with Consul.

use std::{io, time::Duration};

use hickory_resolver::proto::{
    op::{MessageType, OpCode},
    rr::{
        RData, Record,
        rdata::{A, AAAA, SOA, SRV},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// How the server answers a query.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Code(ResponseCode),
    /// This SRV target, on port 80, without an address; the addresses in answer to a query for them.
    Target(&'static str, &'static [&'static str]),
    /// A usable answer to the query that was changed like this.
    Changed(Change),
    /// These bytes in place of a message, prefixed with their length.
    Bytes(&'static [u8]),
    /// No record; then it closes the connection.
    EmptyOnce,
    Nothing,
    Closes,
    /// As `Closes` on this number of connections, then no record.
    ClosesAtFirst(usize),
}

/// A change of a usable answer.
type Change = fn(&mut Message);

async fn serve(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    for nth in 0.. {
        let Ok((stream, _)) = listener.accept().await else { break };
        let answers = match answers {
            Answers::ClosesAtFirst(count) if nth < count => Answers::Closes,
            answers => answers,
        };
        connections.spawn(serve_connection(stream, answers));
    }
}

/// Answers the queries of one connection, each prefixed with its length (RFC 1035, 4.2.2).
async fn serve_connection(mut stream: TcpStream, answers: Answers) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut bytes).await?;
        let query = Message::from_vec(&bytes).unwrap();
        match answers {
            Answers::Nothing => {}
            Answers::Closes => return Ok(()),
            Answers::Code(_)
            | Answers::Target(..)
            | Answers::Changed(_)
            | Answers::Bytes(_)
            | Answers::EmptyOnce
            | Answers::ClosesAtFirst(_) => {
                let bytes = match answers {
                    Answers::Bytes(bytes) => bytes.to_vec(),
                    _ => answer(&query, answers).to_vec().unwrap(),
                };
                stream.write_u16(bytes.len().try_into().unwrap()).await?;
                stream.write_all(&bytes).await?;
                if matches!(answers, Answers::EmptyOnce) {
                    return Ok(());
                }
            }
        }
    }
}

fn answer(question: &Message, answers: Answers) -> Message {
    let mut answer = Message::response(question.id, OpCode::Query);
    let query = question.queries[0].clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    answer.add_query(query);
    match answers {
        Answers::Code(code) => {
            answer.metadata.response_code = code;
            answer.add_authority(soa());
        }
        Answers::Target(target, addresses) => {
            let srv = SRV::new(1, 1, 80, Name::from_ascii(target).unwrap());
            let ips = addresses.iter().map(|ip| match ip.parse().unwrap() {
                std::net::IpAddr::V4(ip) => RData::A(A(ip)),
                std::net::IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            });
            let all = ips.chain([RData::SRV(srv)]).filter(|data| data.record_type() == kind);
            answer.add_answers(all.map(|data| Record::from_rdata(name.clone(), 0, data)));
        }
        Answers::Changed(change) => {
            let srv = SRV::new(1, 1, 80, consul("0a000001.addr.dc1.consul."));
            answer.add_answer(Record::from_rdata(name, 0, RData::SRV(srv)));
            change(&mut answer);
        }
        Answers::EmptyOnce | Answers::ClosesAtFirst(_) => {
            answer.add_authority(soa());
        }
        Answers::Bytes(_) | Answers::Nothing | Answers::Closes => {}
    }
    answer
}

/// Consul adds it to every answer without SRV records.
fn soa() -> Record {
    let soa = SOA::new(consul("ns.consul."), consul("hostmaster.consul."), 1, 3600, 600, 86400, 0);
    Record::from_rdata(consul("consul."), 0, RData::SOA(soa))
}

/// A server at `host`, which is a loopback address or its name; it ends with the handle.
async fn server(host: &str, answers: Answers) -> (Dns, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, answers)));
    let server = Arc::new(DnsServer::new(DnsAddress { host: host.into(), port }));
    (Dns::new(&"web".into(), server).unwrap(), task)
}

/// The ids of the instances, or the error with `PORT` for the server's port.
async fn ask(answers: Answers) -> Result<Vec<String>, String> {
    let (dns, _task) = server("127.0.0.1", answers).await;
    match dns.ask().await {
        Ok(reply) => Ok(reply.instances.iter().map(|one| one.id.to_string()).collect()),
        Err(err) => Err(err.to_string().replace(&dns.server.address.port.to_string(), "PORT")),
    }
}

#[tokio::test]
async fn no_such_name_and_no_such_record_are_empty_answers() {
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        assert_eq!(ask(Answers::Code(code)).await, Ok(vec![]), "{code:?}");
    }
}

#[tokio::test]
async fn every_other_code_is_a_failure() {
    for (code, text) in [
        (ResponseCode::ServFail, "Server Failure"),
        (ResponseCode::Refused, "Query Refused"),
        (ResponseCode::FormErr, "Form Error"),
        (ResponseCode::NotImp, "Not Implemented"),
    ] {
        let expected =
            format!("SRV web.service.consul.: the DNS server at 127.0.0.1:PORT answered {text}");
        assert_eq!(ask(Answers::Code(code)).await, Err(expected));
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let asked = timeout(Duration::from_secs(30), ask(Answers::Nothing));
    let error = asked.await.expect("no deadline").unwrap_err();
    assert_eq!(
        error,
        "SRV web.service.consul.: no answer from the DNS server at 127.0.0.1:PORT (TCP) within 3s"
    );
}

#[tokio::test]
async fn a_server_that_closes_the_connection_is_a_failure() {
    let error = ask(Answers::Closes).await.unwrap_err();
    assert_eq!(
        error,
        "SRV web.service.consul.: no DNS server can be reached at 127.0.0.1:PORT (TCP)"
    );
}

#[tokio::test]
async fn a_query_whose_connection_is_closed_is_sent_again_on_another_one() {
    assert_eq!(ask(Answers::ClosesAtFirst(2)).await, Ok(vec![]));
}

#[tokio::test]
async fn a_target_without_an_address_is_looked_up() {
    for (addresses, expected) in [
        (&["10.0.0.2", "10.0.0.1"] as &[_], vec!["10.0.0.1:80"]),
        (&["2001:db8::1"], vec!["[2001:db8::1]:80"]),
        (&[], vec![]),
    ] {
        let answers = Answers::Target("larry.node.dc1.consul.", addresses);
        assert_eq!(ask(answers).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_server_is_found_by_its_host_name() {
    let (dns, _task) = server("localhost", Answers::Code(ResponseCode::NXDomain)).await;
    assert!(dns.ask().await.is_ok());
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_failure() {
    let (dns, _task) = server("127.0.0.1", Answers::EmptyOnce).await;
    for query in 1..=3 {
        assert!(dns.ask().await.is_ok(), "query {query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_to_something_else_is_a_failure() {
    let rows: [(&str, Change); 5] = [
        ("other records", |it| it.answers[0].name = other()),
        ("records of another type", |it| it.answers[0].data = RData::A(A([10, 0, 0, 9].into()))),
        ("no records, without saying so", |it| it.answers.clear()),
        ("no question", |it| it.queries.clear()),
        ("no such other name", |it| {
            it.queries[0].set_name(other());
            it.answers.clear();
            it.metadata.response_code = ResponseCode::NXDomain;
        }),
    ];
    for (name, change) in rows {
        let expected = "SRV web.service.consul.: the answer of the DNS server at 127.0.0.1:PORT is about something else";
        assert_eq!(ask(Answers::Changed(change)).await, Err(expected.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_a_failure_that_names_the_remedy() {
    let answered = ask(Answers::Changed(|it| it.metadata.truncation = true)).await;
    let expected = "SRV web.service.consul.: the answer of the DNS server at 127.0.0.1:PORT is truncated (TCP): use the catalog for a service of this size";
    assert_eq!(answered, Err(expected.to_owned()));
}

/// A message with another id, or one that can't be read, answers no query.
#[tokio::test]
async fn what_is_no_answer_is_silence() {
    let rows = [
        Answers::Changed(|it| it.metadata.id = it.metadata.id.wrapping_add(1)),
        Answers::Changed(|it| it.metadata.message_type = MessageType::Query),
        Answers::Bytes(b"garbage that is no message"),
        Answers::Bytes(b""),
        Answers::Bytes(&[0xff; 64]),
    ];
    let mut asked: JoinSet<_> = rows.into_iter().map(ask).collect();
    while let Some(answered) = asked.join_next().await {
        let error = answered.unwrap().unwrap_err();
        assert!(error.contains("no answer from the DNS server"), "{error}");
    }
}

fn other() -> Name {
    consul("db.service.consul.")
}

fn consul(name: &str) -> Name {
    Name::from_ascii(name).unwrap()
}
