//! What tests of others can make an agent do.

use std::time::Duration;

use discovery_agent::Agent;
use http::StatusCode;
use testkit::{
    dns::{
        Via, ask,
        hickory_proto::{op::ResponseCode, rr::RecordType},
    },
    http::Question,
};
use tokio::time;

use crate::talk::{SOON, get, index, instances, register, until, waiting};

/// Long enough that an answer would have come.
const MOMENT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_frozen_agent_takes_requests_and_answers_after_the_thaw() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    agent.freeze();
    let mut asked = tokio::spawn(Question::get("/v1/status/leader").send(to));
    until(|| agent.requests() == 1).await;
    assert!(time::timeout(MOMENT, &mut asked).await.is_err(), "it should not answer");
    agent.thaw();
    assert_eq!(asked.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_frozen_agent_does_not_answer_who_waits_either() {
    let agent = Agent::start().await.unwrap();
    register(agent.http_addr(), "w", "passing").await;
    let mut waits = waiting(&agent).await;
    agent.freeze();
    // The registration is taken, but not answered; what it changes wakes the one that waits.
    let other = tokio::spawn(async move {
        register(agent.http_addr(), "x", "passing").await;
        agent
    });
    assert!(time::timeout(MOMENT, &mut waits).await.is_err(), "it should not answer");
    other.abort();
}

#[tokio::test]
async fn a_failing_agent_fails_everything_until_it_is_healed() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    register(to, "w", "passing").await;
    let waits = waiting(&agent).await;
    agent.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(waits.await.unwrap().unwrap().status, 500, "also who waits");
    assert_eq!(get(to, "/v1/agent/self").await.status, 500);
    let answer = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(answer.unwrap().code(), ResponseCode::ServFail);
    agent.heal();
    assert_eq!(instances(to).await, ["w"]);
    let answer = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(answer.unwrap().code(), ResponseCode::NoError);
}

#[tokio::test]
async fn an_agent_that_forgot_everything_starts_low_and_closes_its_connections() {
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let fresh = index(&get(to, "/v1/catalog/services").await);
    for id in ["a", "b", "c"] {
        register(to, id, "passing").await;
    }
    let waits = waiting(&agent).await;
    agent.forget_everything();
    let cut = time::timeout(SOON, waits).await.unwrap().unwrap();
    assert!(cut.is_err(), "as when an agent dies: {cut:?}");
    assert_eq!(instances(to).await, Vec::<String>::new());
    assert_eq!(index(&get(to, "/v1/catalog/services").await), fresh);
    let gone = ask(agent.dns_addr(), "web.service.consul", RecordType::A, Via::PlainUdp).await;
    assert_eq!(gone.unwrap().code(), ResponseCode::NXDomain);
}

#[tokio::test]
async fn requests_and_questions_are_counted() {
    let agent = Agent::start().await.unwrap();
    for _ in 0..3 {
        get(agent.http_addr(), "/v1/status/leader").await;
        let via = Via::PlainUdp;
        ask(agent.dns_addr(), "consul.service.consul", RecordType::A, via).await.unwrap();
    }
    assert_eq!((agent.requests(), agent.questions()), (3, 3));
}
