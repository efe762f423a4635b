//! DNS servers that break the rules of DNS, or answer something else.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use discovery::{Query, Source};
use testkit::dns::hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, rdata::SRV},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// What the server does with a query.
#[derive(Clone, Copy)]
enum Does {
    /// Answers with these ports, and a change.
    Answers(&'static [u16], fn(&mut Message)),
    /// Answers with these bytes, prefixed with their length.
    Sends(&'static [u8]),
    /// Answers with these ports after this time.
    Late(&'static [u16], Duration),
    Nothing,
    Closes,
}

#[derive(Clone)]
struct Server {
    does: watch::Receiver<Does>,
    counts: Arc<[AtomicU64; 2]>,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            self.counts[1].fetch_add(1, Ordering::Relaxed);
            connections.spawn(self.clone().serve(stream));
        }
    }

    /// Messages are prefixed with their length (RFC 1035, 4.2.2).
    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut query = vec![0; stream.read_u16().await?.into()];
            stream.read_exact(&mut query).await?;
            self.counts[0].fetch_add(1, Ordering::Relaxed);
            let query = Message::from_vec(&query).unwrap();
            let does = *self.does.borrow();
            let bytes = match does {
                Does::Answers(ports, change) => answer(&query, ports, change),
                Does::Sends(bytes) => bytes.to_vec(),
                Does::Late(ports, after) => {
                    sleep(after).await;
                    answer(&query, ports, |_| {})
                }
                Does::Nothing => continue,
                Does::Closes => return Ok(()),
            };
            stream.write_u16(bytes.len().try_into().unwrap()).await?;
            stream.write_all(&bytes).await?;
        }
    }
}

fn answer(query: &Message, ports: &[u16], change: fn(&mut Message)) -> Vec<u8> {
    let mut answer = Message::response(query.id, OpCode::Query);
    answer.add_query(query.queries[0].clone());
    let srv = |port: &u16| RData::SRV(SRV::new(1, 1, *port, name("0a000001.addr.dc1.consul.")));
    let name = query.queries[0].name();
    answer.add_answers(ports.iter().map(|port| Record::from_rdata(name.clone(), 0, srv(port))));
    change(&mut answer);
    answer.to_vec().unwrap()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// `each`: the queries that one of the watch becomes at most.
async fn run_dns(does: Does, each: u64, shows: Shows) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (does_tx, does_rx) = watch::channel(Does::Answers(&[80], |_| {}));
    let server = Server { does: does_rx, counts: Arc::default() };
    let counts = server.counts.clone();
    let _accepting = AbortOnDropHandle::new(tokio::spawn(server.accept(listener)));
    let discovery = Discovery::new(Settings::new(AgentSettings::default()).dns(addr)).unwrap();
    let mut watch = discovery.watch(Query::new("web").source(Source::Dns));
    until_instances(&mut watch, KNOWN).await;

    does_tx.send_replace(does);
    let most = if let Shows::Failure(_) = shows { failing } else { polling };
    let counted = || [0, 1].map(|which: usize| counts[which].load(Ordering::Relaxed) / each);
    let counted = || [counted()[0], counted()[1], 0];
    misbehaves(&mut watch, &shows, addr, counted, most).await;
    does_tx.send_replace(Does::Answers(&[81], |_| {}));
    until(&mut watch, |it| it.failure.is_none() && shown(it) == ["10.0.0.1:81 passing"]).await;
}

#[tokio::test]
async fn a_dns_failure_keeps_the_known_instances_and_an_answer_is_believed() {
    let failure = |text: &str| Shows::Failure(text.to_owned());
    let silent = || failure("no answer from the DNS server at AGENT (TCP) within 3s");
    let other = || failure("the answer of the DNS server at AGENT is about something else");
    // hickory repeats a query with a truncated answer, and one whose connection ended, as the watch does (`SENT_MAX`). It takes the target of
    // an SRV record of another name for an alias, and follows up to 8.
    let (once, twice, closed, followed) = (1, 2, 2 * TRIES, 8);
    let rows = [
        (
            "answers NXDOMAIN",
            Does::Answers(&[], |it| it.metadata.response_code = ResponseCode::NXDomain),
            once,
            Shows::Instances(&[]),
        ),
        (
            "answers SERVFAIL",
            Does::Answers(&[], |it| it.metadata.response_code = ResponseCode::ServFail),
            once,
            failure("the DNS server at AGENT answered Server Failure"),
        ),
        (
            "answers REFUSED",
            Does::Answers(&[], |it| it.metadata.response_code = ResponseCode::Refused),
            once,
            failure("the DNS server at AGENT answered Query Refused"),
        ),
        (
            "truncates",
            Does::Answers(&[80, 82], |it| it.metadata.truncation = true),
            twice,
            failure(
                "the answer of the DNS server at AGENT is truncated (TCP): use the catalog for a service of this size",
            ),
        ),
        ("answers no records", Does::Answers(&[], |_| {}), once, other()),
        (
            "answers for another name",
            Does::Answers(&[82], |it| it.answers[0].name = name("db.service.consul.")),
            followed,
            other(),
        ),
        ("has another id", Does::Answers(&[82], |it| it.metadata.id ^= 1), once, silent()),
        ("sends garbage", Does::Sends(b"garbage that is no message"), once, silent()),
        ("sends nothing in a message", Does::Sends(b""), once, silent()),
        ("is too slow", Does::Late(&[82], Duration::from_secs(4)), once, silent()),
        ("is silent", Does::Nothing, once, silent()),
        ("closes", Does::Closes, closed, failure("no DNS server can be reached at AGENT (TCP)")),
    ];
    let run = |(name, does, each, shows)| (name, run_dns(does, each, shows));
    side_by_side(rows.into_iter().map(run)).await;
}
