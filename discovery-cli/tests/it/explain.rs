//! `explain`: the page of this command's own pool, of a running program, and the errors.

use std::net::SocketAddr;

use discovery_agent::Agent;
use http::StatusCode;
use serde_json::Value;
use testkit::{http::Request, ports};
use tokio::{process::Command, time::timeout};

use crate::process::{Running, WAIT_MAX, discovery, done, text};

async fn put(agent: &Agent, path: &str, body: &str) {
    let answer = Request::put(path).body(body.to_owned()).send(agent.http_addr()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
}

/// An instance `web-<port>` with a TTL check.
async fn register(agent: &Agent, port: u16) {
    let body = format!(
        r#"{{"ID": "web-{port}", "Name": "web", "Address": "10.0.0.1", "Port": {port}, "Check": {{"TTL": "1h", "Status": "passing"}}}}"#
    );
    put(agent, "/v1/agent/service/register", &body).await;
}

/// An agent with an instance of each status, and one that can't be used.
async fn populated() -> Agent {
    let agent = Agent::builder().node_name("here").start().await.unwrap();
    for port in [80, 81, 82, 83] {
        register(&agent, port).await;
    }
    put(&agent, "/v1/agent/check/pass/service:web-80?note=all%20well", "").await;
    put(&agent, "/v1/agent/check/warn/service:web-81?note=disk%20at%2090%20%25", "").await;
    put(&agent, "/v1/agent/check/fail/service:web-82?note=GET%20/:%20503%0Ano%20database", "")
        .await;
    put(&agent, "/v1/agent/check/pass/service:web-83", "").await;
    put(&agent, "/v1/agent/service/maintenance/web-83?enable=true&reason=new%20disk", "").await;
    put(&agent, "/v1/agent/service/register", r#"{"ID": "web-0", "Name": "web"}"#).await;
    agent
}

fn explain(arguments: &[&str], http: SocketAddr) -> Command {
    let mut command = discovery(&["explain"]);
    command.args(arguments).args(["--http-addr", &http.to_string()]);
    command
}

/// The age and the index differ from run to run.
fn without_numbers(page: &str) -> String {
    let line = |line: &str| match line.starts_with("From Consul's HTTP catalog, ") {
        true => "From Consul's HTTP catalog, <AGE> old, index <INDEX>.\n".to_owned(),
        false => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

#[tokio::test]
async fn an_own_pool_shows_each_instance_and_what_is_left_out() {
    let agent = populated().await;
    let output = done(&mut explain(&["web"], agent.http_addr())).await;
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    insta::assert_snapshot!("explain", without_numbers(&text(&output.stdout)));
}

#[tokio::test]
async fn a_service_without_an_instance_for_a_call_is_an_error() {
    let agent = populated().await;
    let output = done(&mut explain(&["nobody"], agent.http_addr())).await;
    assert_eq!(text(&output.stderr), "error: the next call to nobody fails\n");
    assert_eq!(output.status.code(), Some(1));
    let page = text(&output.stdout);
    assert!(page.starts_with("nobody: the next call fails: there is no instance\n"), "{page}");
}

#[tokio::test]
async fn a_running_program_shows_what_it_has_measured() {
    let [admin] = ports::free().unwrap();
    let admin = SocketAddr::from(([127, 0, 0, 1], admin)).to_string();
    let mut command = discovery(&["child", "service1"]);
    command.stdin(std::process::Stdio::piped());
    command.env("CONSUL_HTTP_ADDR", "127.0.0.1:1").env("LISTEN", "127.0.0.1:0");
    command.env("RUST_LOG", "info").env("ADMIN", &admin);
    // Nothing listens there, so one of the two is ejected; the limit is half of them.
    command.env("RESOLVE", "fixed:127.0.0.1:1,127.0.0.1:2").env("SERVICE_ID", "service1-here");
    let mut running = Running::start(&mut command);
    let at: SocketAddr = running
        .wait_for(|output| {
            let line = output.lines().find(|line| line.contains(" serving "))?;
            line.split("at=").nth(1)?.split_whitespace().next()?.parse().ok()
        })
        .await;
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let ejected = timeout(WAIT_MAX, async {
        loop {
            Request::get("/").send(at).await.unwrap();
            let mut command = explain(&["service2", "--admin", &admin, "--json"], nowhere);
            let all: Value = serde_json::from_slice(&done(&mut command).await.stdout).unwrap();
            let is_ejected = |it: &&Value| it["rank"] == "ejected";
            if let Some(found) = all["instances"].as_array().unwrap().iter().find(is_ejected) {
                return found.clone();
            }
        }
    });
    let ejected = ejected.await.expect("neither instance is ejected");
    assert_eq!(ejected["ejected_because"], "5 failures in a row, at last no connection");
    let output = done(&mut explain(&["service2", "--admin", &admin], nowhere)).await;
    let page = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{page}");
    let address = ejected["address"].as_str().unwrap();
    let entry = page.split(&format!("  {address}\n")).nth(1).unwrap();
    let ejection = entry.lines().nth(1).unwrap().trim();
    assert!(ejection.starts_with("ejected "), "{page}");
    assert!(ejection.contains(" ago: 5 failures in a row, at last no connection; "), "{page}");
    assert!(page.ends_with(&format!("\nMeasured by service1-here at {admin}.\n")), "{page}");

    let output = done(&mut explain(&["web", "--admin", &admin], nowhere)).await;
    let said = format!("error: service1-here at {admin} does not call web: it calls service2\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), said));
}

#[tokio::test]
async fn an_ambassador_explains_each_of_its_services() {
    let agent = populated().await;
    let [admin] = ports::free().unwrap();
    let admin = SocketAddr::from(([127, 0, 0, 1], admin)).to_string();
    let mut command = discovery(&["ambassador", "127.0.0.1:0=web", "--admin", &admin]);
    command.env("CONSUL_HTTP_ADDR", agent.http_addr().to_string());
    let mut running = Running::start(command.env("RUST_LOG", "info"));
    running.wait_for_text("ambassador").await;
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let explained = timeout(WAIT_MAX, async {
        loop {
            let output = done(&mut explain(&["web", "--admin", &admin], nowhere)).await;
            // Before the first answer of Consul there is no instance.
            if output.status.success() {
                return text(&output.stdout);
            }
        }
    });
    let page = explained.await.expect("it does not explain its service");
    assert!(page.starts_with("web: the next call goes to its only passing instance\n"), "{page}");
    assert!(page.ends_with(&format!("\nMeasured by the program at {admin}.\n")), "{page}");
    let output = done(&mut explain(&["db", "--admin", &admin], nowhere)).await;
    let refusal = format!("error: the program at {admin} does not call db: it calls web\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), refusal));
}

#[tokio::test]
async fn who_can_not_explain_is_reported_in_one_sentence() {
    let agent = populated().await;
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    for (name, admin, http) in [
        ("no-admin", Some(nowhere), agent.http_addr()),
        ("not-an-admin", Some(agent.http_addr()), agent.http_addr()),
        ("no-agent", None, nowhere),
    ] {
        let admin = admin.map(|at| at.to_string());
        let mut arguments = vec!["web"];
        arguments.extend(admin.iter().flat_map(|at| ["--admin", at]));
        let output = done(&mut explain(&arguments, http)).await;
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
        let said = text(&output.stderr).replace(&agent.http_addr().to_string(), "<AGENT>");
        insta::assert_snapshot!(format!("explain-{name}"), said);
    }
}
