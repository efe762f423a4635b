//! What each answer of a DNS server makes known, asked for over a real connection. What Consul itself answers is tested with it.

use std::{io, time::Duration};

use hickory_resolver::proto::{
    op::OpCode,
    rr::{
        RData, Record,
        rdata::{A, AAAA, SRV},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// What the server says to a question.
#[derive(Debug, Clone, Copy)]
enum Says {
    Code(ResponseCode),
    /// This SRV target, on port 80, without an address; its addresses when it is asked for them.
    Target(&'static str, &'static [&'static str]),
    /// Nobody, and hangs up after it.
    NobodyOnce,
    Nothing,
    HangsUp,
}

async fn serve(listener: TcpListener, says: Says) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, says));
    }
}

/// Answers the questions of one connection, each with its length before it (RFC 1035, 4.2.2).
async fn converse(mut stream: TcpStream, says: Says) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut bytes).await?;
        let question = Message::from_vec(&bytes).unwrap();
        match says {
            Says::Nothing => {}
            Says::HangsUp => return Ok(()),
            Says::Code(_) | Says::Target(..) | Says::NobodyOnce => {
                let bytes = answer(&question, says).to_vec().unwrap();
                stream.write_u16(bytes.len().try_into().unwrap()).await?;
                stream.write_all(&bytes).await?;
                if matches!(says, Says::NobodyOnce) {
                    return Ok(());
                }
            }
        }
    }
}

fn answer(question: &Message, says: Says) -> Message {
    let mut answer = Message::response(question.id, OpCode::Query);
    let query = question.queries[0].clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    answer.add_query(query);
    match says {
        Says::Code(code) => answer.metadata.response_code = code,
        Says::Target(target, addresses) => {
            let srv = SRV::new(1, 1, 80, Name::from_ascii(target).unwrap());
            let ips = addresses.iter().map(|ip| match ip.parse().unwrap() {
                std::net::IpAddr::V4(ip) => RData::A(A(ip)),
                std::net::IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            });
            let all = ips.chain([RData::SRV(srv)]).filter(|data| data.record_type() == kind);
            answer.add_answers(all.map(|data| Record::from_rdata(name.clone(), 0, data)));
        }
        Says::NobodyOnce | Says::Nothing | Says::HangsUp => {}
    }
    answer
}

/// A server that says this at `host`, which is a loopback address or its name; it ends with the handle.
async fn server(host: &str, says: Says) -> (Dns, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, says)));
    let server = Arc::new(Server::new(DnsAddress { host: host.into(), port }));
    (Dns { server, service: "web".into(), datacenter: None, odd: Odd::default() }, task)
}

/// The ids of the instances, or the error without the server's port.
async fn ask(says: Says) -> Result<Vec<String>, String> {
    let (dns, _task) = server("127.0.0.1", says).await;
    match dns.ask(None).await {
        Ok(reply) => Ok(reply.instances.iter().map(|one| one.id.to_string()).collect()),
        Err(err) => Err(err.to_string().replace(&dns.server.address.port.to_string(), "PORT")),
    }
}

#[tokio::test]
async fn no_such_name_and_no_such_record_are_answers_that_there_is_nobody() {
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        assert_eq!(ask(Says::Code(code)).await, Ok(vec![]), "{code:?}");
    }
}

#[tokio::test]
async fn every_other_code_is_a_failure() {
    for (code, said) in [
        (ResponseCode::ServFail, "Server Failure"),
        (ResponseCode::Refused, "Query Refused"),
        (ResponseCode::FormErr, "Form Error"),
        (ResponseCode::NotImp, "Not Implemented"),
    ] {
        let expected =
            format!("SRV web.service.consul.: the DNS server at 127.0.0.1:PORT answered {said}");
        assert_eq!(ask(Says::Code(code)).await, Err(expected));
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let asked = timeout(Duration::from_secs(30), ask(Says::Nothing));
    let said = asked.await.expect("an end to the waiting").unwrap_err();
    assert_eq!(
        said,
        "SRV web.service.consul.: no answer from the DNS server at 127.0.0.1:PORT (TCP) within 3s"
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_failure() {
    let said = ask(Says::HangsUp).await.unwrap_err();
    assert_eq!(said, "SRV web.service.consul.: no DNS server can be asked at 127.0.0.1:PORT (TCP)");
}

#[tokio::test]
async fn a_target_without_an_address_is_asked_for() {
    for (addresses, expected) in [
        (&["10.0.0.2", "10.0.0.1"] as &[_], vec!["10.0.0.1:80"]),
        (&["2001:db8::1"], vec!["[2001:db8::1]:80"]),
        (&[], vec![]),
    ] {
        let says = Says::Target("larry.node.dc1.consul.", addresses);
        assert_eq!(ask(says).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_name_that_is_no_label_is_not_asked_for() {
    let (dns, _task) = server("127.0.0.1", Says::Nothing).await;
    let said = Dns { service: "v1.web".into(), ..dns }.ask(None).await.unwrap_err().to_string();
    assert_eq!(said, "the service \"v1.web\" has a name that DNS has no room for");
}

#[tokio::test]
async fn a_server_that_is_known_by_name_is_found() {
    let (dns, _task) = server("localhost", Says::Code(ResponseCode::NXDomain)).await;
    assert!(dns.ask(None).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let (dns, _task) = server("127.0.0.1", Says::NobodyOnce).await;
    for question in 1..=3 {
        assert!(dns.ask(None).await.is_ok(), "question {question}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
