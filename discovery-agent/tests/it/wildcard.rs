//! An agent that listens on all addresses answers from the address of the query.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use discovery_agent::Agent;
use testkit::dns::{
    Via, ask,
    hickory_proto::{op::ResponseCode, rr::RecordType},
};

/// All of 127.0.0.0/8 is local, so the second address differs from the one that the kernel's routes would choose.
const ASKED_V4: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];

/// Queries an agent that listens on `listen` at each address. `ask` connects its socket, so it receives answers from that address only.
async fn answers_at(listen: IpAddr, asked: impl IntoIterator<Item = IpAddr>) {
    let listen = SocketAddr::new(listen, 0);
    let agent = Agent::builder().dns_listen(listen).start().await.unwrap();
    for ip in asked {
        let to = SocketAddr::new(ip, agent.dns_addr().port());
        for via in [Via::PlainUdp, Via::Edns(1232), Via::Tcp] {
            let answer = ask(to, "consul.service.consul", RecordType::A, via).await;
            let answer = answer.unwrap_or_else(|err| panic!("{listen} queried at {to}: {err}"));
            assert_eq!(answer.code(), ResponseCode::NoError, "{listen} queried at {to}");
        }
    }
}

#[tokio::test]
async fn an_agent_on_all_v4_addresses_answers_from_the_queried_one() {
    answers_at(Ipv4Addr::UNSPECIFIED.into(), ASKED_V4.map(IpAddr::from)).await;
}

#[tokio::test]
async fn an_agent_on_all_addresses_answers_from_the_queried_one() {
    let v4 = ASKED_V4.map(IpAddr::from);
    answers_at(Ipv6Addr::UNSPECIFIED.into(), v4.into_iter().chain([Ipv6Addr::LOCALHOST.into()]))
        .await;
}

#[tokio::test]
async fn an_agent_on_one_address_answers_from_it() {
    for ip in [IpAddr::from(ASKED_V4[1]), Ipv6Addr::LOCALHOST.into()] {
        answers_at(ip, [ip]).await;
    }
}
