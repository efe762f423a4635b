//! `register` and `deregister`, on a real Consul and on the embedded agent.

use std::net::SocketAddr;

use discovery_agent::Agent;
use rustix::process::Signal;
use serde_json::Value;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};

use crate::process::{Running, discovery, done, text};

/// Runs a case on the embedded agent, and concurrently on a real Consul if there is one.
async fn everywhere(case: impl AsyncFn(SocketAddr)) {
    let embedded = async {
        let agent = Agent::start().await.unwrap();
        case(agent.http_addr()).await;
    };
    let real = async {
        if let Some(binary) = Binary::find_or_skip() {
            let consul = Consul::of(&binary).start().await.unwrap();
            case(consul.http_addr()).await;
        }
    };
    tokio::join!(embedded, real);
}

/// The output of a command for this agent, whose address is shown as AGENT.
async fn said(agent: SocketAddr, arguments: &[&str]) -> (Option<i32>, String) {
    let at = agent.to_string();
    let output = done(discovery(arguments).env("CONSUL_HTTP_ADDR", &at)).await;
    let all = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), all.replace(&at, "AGENT"))
}

async fn registered(agent: SocketAddr, id: &str) -> Value {
    let answer = Request::get(format!("/v1/agent/service/{id}")).send(agent).await.unwrap();
    if answer.status.is_success() { answer.json() } else { Value::Null }
}

#[tokio::test]
async fn a_service_elsewhere_is_registered_and_deregistered() {
    everywhere(async |agent| {
        let arguments = [
            "register", "web", "--port", "80", "--address", "10.0.0.7", "--tag", "v1", "--tag", "blue",
            "--meta", "zone=a", "--check", "http:/health",
        ];
        let done = (Some(0), "registered web-10.0.0.7-80 at the agent AGENT\n".to_owned());
        assert_eq!(said(agent, &arguments).await, done);
        let service = registered(agent, "web-10.0.0.7-80").await;
        assert_eq!(service["Tags"], serde_json::json!(["v1", "blue"]));
        assert_eq!(service["Meta"], serde_json::json!({ "zone": "a" }));
        assert_eq!((&service["Address"], &service["Port"]), (&"10.0.0.7".into(), &80.into()));
        let checks = Request::get("/v1/health/checks/web").send(agent).await.unwrap().json();
        assert_eq!(checks[0]["Type"], "http");
        let done = (Some(0), "deregistered web-10.0.0.7-80 of web\n".to_owned());
        assert_eq!(said(agent, &["deregister", "web-10.0.0.7-80"]).await, done);
        assert_eq!(registered(agent, "web-10.0.0.7-80").await, Value::Null);
        let failed = "error: the agent at AGENT has no service with the id \"web-10.0.0.7-80\"; `discovery resolve NAME` lists the ids of a service and the node of each\n";
        let again = said(agent, &["deregister", "web-10.0.0.7-80"]).await;
        assert_eq!(again, (Some(1), failed.to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_held_service_is_deregistered_at_the_end() {
    everywhere(async |agent| {
        let arguments = ["register", "web", "--port", "80", "--id", "web-1", "--hold", "--json"];
        let mut command = discovery(&arguments);
        let mut running = Running::start(command.env("CONSUL_HTTP_ADDR", agent.to_string()));
        running.wait_for_text("\"what\":\"registered\"").await;
        let checks = Request::get("/v1/health/checks/web").send(agent).await.unwrap().json();
        assert_eq!(checks[0]["Status"], "passing");
        assert_ne!(registered(agent, "web-1").await, Value::Null);
        running.signal(Signal::INT);
        let (code, said) = running.ended().await;
        let lines = ["registered", "deregistered"].map(|what| {
            format!("{{\"agent\":\"{agent}\",\"id\":\"web-1\",\"what\":\"{what}\"}}\n")
        });
        assert_eq!((code, said), (Some(0), lines.concat()));
        assert_eq!(registered(agent, "web-1").await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_can_not_be_reached_is_one_sentence() {
    let agent = SocketAddr::from(([127, 0, 0, 1], 1));
    for arguments in [&["register", "web", "--port", "80"][..], &["deregister", "web-1"]] {
        let (code, said) = said(agent, arguments).await;
        assert_eq!(code, Some(1));
        insta::assert_snapshot!(format!("unreachable-{}", arguments[0]), said);
    }
}
