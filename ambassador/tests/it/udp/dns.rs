//! Real DNS through an ambassador: that of the embedded agent, and of a real Consul.

use std::net::{Ipv4Addr, SocketAddr};

use discovery_agent::Agent;
use testkit::{
    consul::{Binary, Consul},
    dns::{Via, ask, hickory_proto::rr::RecordType},
};

use super::world::{ambassador, fixed};

async fn answers(dns: SocketAddr) {
    let (_ambassador, port) = ambassador("udp:0", fixed(&[dns])).await;
    let through = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for (name, kind) in [
        ("consul.service.consul.", RecordType::A),
        ("consul.service.consul.", RecordType::SRV),
        ("no-such.service.consul.", RecordType::A),
    ] {
        let direct = ask(dns, name, kind, Via::PlainUdp).await.unwrap();
        let relayed = ask(through, name, kind, Via::PlainUdp).await.unwrap();
        assert_eq!(relayed.code(), direct.code(), "{name} {kind}");
        assert_eq!(relayed.answers(), direct.answers(), "{name} {kind}");
    }
}

#[tokio::test]
async fn dns_answers_pass_unchanged() {
    let agent = Agent::start().await.unwrap();
    answers(agent.dns_addr()).await;
    if let Some(binary) = Binary::find_or_skip() {
        let consul = Consul::of(&binary).start().await.unwrap();
        answers(consul.dns_addr()).await;
    }
}
