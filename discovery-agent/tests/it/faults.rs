//! The faults that an agent can simulate for tests.

use std::time::Duration;

use discovery_agent::Agent;
use http::StatusCode;
use testkit::{
    dns::{
        Via, ask,
        hickory_proto::{op::ResponseCode, rr::RecordType},
    },
    http::Request,
};
use tokio::time;

use crate::requests::{SOON, get, index, instances, register, until, waiting};

/// Long enough for an answer to arrive.
const MOMENT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_frozen_agent_accepts_requests_and_answers_after_the_thaw() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    agent.freeze();
    let mut asked = tokio::spawn(Request::get("/v1/status/leader").send(to));
    until(|| agent.requests() == 1).await;
    assert!(time::timeout(MOMENT, &mut asked).await.is_err(), "it should not answer");
    agent.thaw();
    assert_eq!(asked.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_frozen_agent_does_not_answer_blocking_queries() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let index = index(&get(to, "/v1/health/service/web").await);
    let target = format!("/v1/health/service/web?index={index}&wait=2s");
    let mut waits = tokio::spawn(Request::get(target).send(to));
    until(|| agent.waiting() == 1).await;
    agent.freeze();
    until(|| agent.waiting() == 0).await;
    assert!(time::timeout(MOMENT, &mut waits).await.is_err(), "it should not answer");
    agent.thaw();
    assert_eq!(waits.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_frozen_agent_loses_datagrams_and_answers_connections_after_the_thaw() {
    let agent = Agent::start().await.unwrap();
    agent.freeze();
    let query =
        |via| tokio::spawn(ask(agent.dns_addr(), "consul.service.consul", RecordType::A, via));
    let mut by_udp = query(Via::PlainUdp);
    let mut by_tcp = query(Via::Tcp);
    until(|| agent.dns_queries() == 2).await;
    assert!(time::timeout(MOMENT, &mut by_tcp).await.is_err(), "it should not answer");
    agent.thaw();
    assert_eq!(by_tcp.await.unwrap().unwrap().code(), ResponseCode::NoError);
    assert!(time::timeout(MOMENT, &mut by_udp).await.is_err(), "the datagram was not lost");
}

#[tokio::test]
async fn a_failing_agent_fails_everything_until_it_is_healed() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    register(to, "w", "passing").await;
    let waits = waiting(&agent).await;
    agent.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(waits.await.unwrap().unwrap().status, 500, "also a pending blocking query");
    assert_eq!(get(to, "/v1/agent/self").await.status, 500);
    let answer = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(answer.unwrap().code(), ResponseCode::ServFail);
    agent.heal();
    assert_eq!(instances(to).await, ["w"]);
    let answer = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(answer.unwrap().code(), ResponseCode::NoError);
}

#[tokio::test]
async fn an_agent_without_data_restarts_its_index_and_closes_its_connections() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let fresh = index(&get(to, "/v1/catalog/services").await);
    for id in ["a", "b", "c"] {
        register(to, id, "passing").await;
    }
    let waits = waiting(&agent).await;
    agent.forget_everything();
    let cut = time::timeout(SOON, waits).await.unwrap().unwrap();
    assert!(cut.is_err(), "as when an agent is killed: {cut:?}");
    assert_eq!(instances(to).await, Vec::<String>::new());
    assert_eq!(index(&get(to, "/v1/catalog/services").await), fresh);
    let gone = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(gone.unwrap().code(), ResponseCode::NXDomain);
}

#[tokio::test]
async fn requests_and_dns_queries_are_counted() {
    let agent = Agent::start().await.unwrap();
    for _ in 0..3 {
        get(agent.http_addr(), "/v1/status/leader").await;
        let via = Via::PlainUdp;
        ask(agent.dns_addr(), "consul.service.consul", RecordType::A, via).await.unwrap();
    }
    assert_eq!((agent.requests(), agent.dns_queries()), (3, 3));
}
