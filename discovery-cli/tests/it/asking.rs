//! `services`, `resolve`, `watch` and `agent`: output with a working agent, and with one that is unreachable or broken.

use std::net::SocketAddr;

use discovery_agent::Agent;
use http::{HeaderValue, Method, StatusCode, header::HOST};
use rustix::process::Signal;
use testkit::http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

use crate::process::{Running, discovery, done, text};

async fn agent() -> Agent {
    Agent::builder().node_name("here").start().await.unwrap()
}

/// The command, with this agent for HTTP and that address for DNS.
fn ask(arguments: &[&str], http: SocketAddr, dns: SocketAddr) -> Command {
    let mut command = discovery(arguments);
    command.args(["--http-addr", &http.to_string(), "--dns-addr", &dns.to_string()]);
    command
}

async fn put(agent: &Agent, path: &str, body: &str) {
    let answer = Request::new(Method::PUT, path)
        .body(body.to_owned())
        .send(agent.http_addr())
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
}

/// An instance `web-<port>` at 10.0.0.1, with a check of this status.
async fn register(agent: &Agent, port: u16, status: &str) {
    let body = format!(
        r#"{{"ID": "web-{port}", "Name": "web", "Address": "10.0.0.1", "Port": {port}, "Tags": ["v1"],
            "Check": {{"TTL": "1h", "Status": "{status}"}}}}"#
    );
    put(agent, "/v1/agent/service/register", &body).await;
}

async fn deregister(agent: &Agent, port: u16) {
    put(agent, &format!("/v1/agent/service/deregister/web-{port}"), "").await;
}

/// An agent with instances of each status.
async fn populated() -> Agent {
    let agent = agent().await;
    for (port, status) in [(80, "passing"), (81, "critical"), (82, "warning"), (8080, "passing")] {
        register(&agent, port, status).await;
    }
    put(&agent, "/v1/agent/service/maintenance/web-8080?enable=true", "").await;
    agent
}

#[tokio::test]
async fn both_ways_are_shown_side_by_side() {
    let agent = populated().await;
    for arguments in [&["services"][..], &["resolve", "web"]] {
        let output = done(&mut ask(arguments, agent.http_addr(), agent.dns_addr())).await;
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(arguments[0], text(&output.stdout));
    }
}

#[tokio::test]
async fn differences_are_marked() {
    let (agent, other) = (populated().await, agent().await);
    for (port, status) in [(80, "passing"), (81, "passing"), (90, "passing")] {
        register(&other, port, status).await;
    }
    for arguments in [&["services"][..], &["resolve", "web"]] {
        let output = done(&mut ask(arguments, agent.http_addr(), other.dns_addr())).await;
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(format!("{}-differing", arguments[0]), text(&output.stdout));
    }
    let output =
        done(&mut ask(&["resolve", "web", "--json"], agent.http_addr(), other.dns_addr())).await;
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let differences: Vec<_> = all["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["address"].as_str().unwrap(), it["what"].as_str().unwrap()))
        .collect();
    assert_eq!(
        differences,
        [
            ("10.0.0.1:81", "still in DNS"),
            ("10.0.0.1:82", "not in DNS"),
            ("10.0.0.1:90", "only in DNS")
        ]
    );
    assert_eq!(
        (&all["http"]["instances"][0]["id"], &all["dns"]["instances"][0]["port"]),
        (&"web-80".into(), &80.into())
    );
}

#[tokio::test]
async fn a_name_without_instances_is_an_error() {
    let agent = agent().await;
    let output = done(&mut ask(&["resolve", "nobody"], agent.http_addr(), agent.dns_addr())).await;
    assert_eq!(text(&output.stdout), "nobody: 0 by HTTP, 0 by DNS\n");
    assert_eq!(
        text(&output.stderr),
        "error: nobody has no instance; `discovery services` lists the services that have\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn control_characters_from_consul_are_escaped() {
    let agent = agent().await;
    let body = "{\"ID\": \"web\\u001b[2J\", \"Name\": \"web\", \"Address\": \"10.0.0.1\", \"Port\": 80, \"Tags\": [\"\\u001b]0;owned\\u0007\"]}";
    put(&agent, "/v1/agent/service/register", body).await;
    for arguments in [&["services"][..], &["resolve", "web"], &["resolve", "web\x1b[2J"]] {
        let output = done(&mut ask(arguments, agent.http_addr(), agent.dns_addr())).await;
        let output = text(&output.stdout) + &text(&output.stderr);
        assert!(output.contains(r"\u{1b}"), "{output}");
        assert!(!output.contains('\x1b') && !output.contains('\x07'), "{output:?}");
    }
    let mut running =
        Running::start(&mut ask(&["watch", "web"], agent.http_addr(), agent.dns_addr()));
    running.wait_for_text(r"+ 10.0.0.1:80 passing weight 1 web\u{1b}[2J@here").await;
    assert!(!running.output().contains('\x1b'));
}

#[tokio::test]
async fn services_are_printed_as_json() {
    let agent = populated().await;
    let output = done(&mut ask(&["services", "--json"], agent.http_addr(), agent.dns_addr())).await;
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let web = serde_json::json!({ "service": "web", "tags": ["v1"], "http": 4, "dns": 2, "differing": 0 });
    assert_eq!(all[1], web);
}

#[tokio::test]
async fn changes_are_printed_for_http_and_dns() {
    let agent = agent().await;
    register(&agent, 80, "passing").await;
    let mut running =
        Running::start(&mut ask(&["watch", "web"], agent.http_addr(), agent.dns_addr()));
    running.wait_for_text("http  + 10.0.0.1:80 passing weight 1 web-80@here").await;
    running.wait_for_text("dns   + 10.0.0.1:80 weight 1").await;
    register(&agent, 81, "passing").await;
    running
        .wait_for_text("http  + 10.0.0.1:81 passing weight 1 web-81@here  (http 2, dns 1)")
        .await;
    running.wait_for_text("dns   + 10.0.0.1:81 weight 1\n").await;
    put(&agent, "/v1/agent/check/fail/service:web-80", "").await;
    running.wait_for_text("http  ~ 10.0.0.1:80 critical weight 1 web-80@here: was passing").await;
    running.wait_for_text("dns   - 10.0.0.1:80 weight 1\n").await;
    deregister(&agent, 80).await;
    running.wait_for_text("http  - 10.0.0.1:80 critical weight 1 web-80@here\n").await;
    agent.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    running.wait_for_text("http  ! ").await;
    running.wait_for_text("dns   ! ").await;
    agent.heal();
    running.wait_for_text("http  ! answers again").await;
    running.wait_for_text("dns   ! answers again").await;
    // Not SIGINT: a shell starts background commands with SIGINT ignored.
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await.0, None, "a signal ends it as it ends any program");
}

#[tokio::test]
async fn changes_are_printed_as_json_one_object_per_line() {
    let agent = agent().await;
    register(&agent, 80, "passing").await;
    let mut running =
        Running::start(&mut ask(&["watch", "web", "--json"], agent.http_addr(), agent.dns_addr()));
    running.wait_for(|output| (output.lines().count() >= 2).then_some(())).await;
    deregister(&agent, 80).await;
    running.wait_for(|output| (output.lines().count() >= 4).then_some(())).await;
    let output = running.output();
    let mut lines: Vec<_> = output
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| line[key].as_str().unwrap().to_owned();
            (word("what"), word("by"), line["instance"]["port"].as_u64().unwrap())
        })
        .collect();
    lines.sort();
    let line = |what: &str, by: &str| (what.to_owned(), by.to_owned(), 80);
    assert_eq!(
        lines,
        [
            line("added", "dns"),
            line("added", "http"),
            line("removed", "dns"),
            line("removed", "http")
        ]
    );
}

/// A server at the address of an agent that returns this for each request.
async fn garbage(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if stream.read_buf(&mut Vec::new()).await.is_ok() {
                    stream.write_all(answer).await.ok();
                }
            });
        }
    });
    at
}

#[tokio::test]
async fn a_failing_agent_is_reported_in_one_sentence() {
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let frozen = agent().await;
    frozen.freeze();
    let failing = agent().await;
    failing.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    let well = agent().await;
    register(&well, 80, "passing").await;
    for (name, http, dns) in [
        ("not there", nowhere, nowhere),
        ("silent", frozen.http_addr(), frozen.dns_addr()),
        ("failing", failing.http_addr(), failing.dns_addr()),
        ("garbage", garbage(b"220 mail ready\r\n").await, nowhere),
        ("no json", garbage(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await, nowhere),
        ("without dns", well.http_addr(), nowhere),
    ] {
        for arguments in [&["services"][..], &["resolve", "web"]] {
            let output = done(&mut ask(arguments, http, dns)).await;
            let error = text(&output.stderr);
            assert_eq!(
                (output.status.code(), error.lines().count()),
                (Some(1), 1),
                "{name}: {error}"
            );
            let error =
                error.replace(&http.to_string(), "<HTTP>").replace(&dns.to_string(), "<DNS>");
            insta::assert_snapshot!(format!("{}-{}", arguments[0], name.replace(' ', "-")), error);
        }
    }
}

#[tokio::test]
async fn an_agent_prints_its_addresses_and_shuts_down_gracefully() {
    let mut running = Running::start(&mut discovery(&AGENT));
    running.wait_for_text("Ctrl-C stops it.").await;
    let output = running.output();
    let at = |key| output.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap().trim();
    let (http, dns) = (at("http "), at("dns "));
    let leader = Request::get("/v1/status/leader").send(http.parse().unwrap()).await.unwrap();
    assert_eq!(leader.status, StatusCode::OK);
    insta::assert_snapshot!("agent", output.replace(http, "<HTTP>").replace(dns, "<DNS>"));
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await.0, Some(0));
}

#[tokio::test]
async fn an_agent_keeps_its_catalog_in_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        let mut command = discovery(&AGENT);
        let mut running = Running::start(command.arg("--json").arg("--data-dir").arg(dir.path()));
        let at = running.wait_for(|output| output.lines().find_map(http_addr)).await;
        let services = Request::get("/v1/agent/services").send(at).await.unwrap();
        found.push(services.text().contains("web-80"));
        let body = r#"{"ID": "web-80", "Name": "web", "Port": 80}"#;
        Request::put("/v1/agent/service/register").body(body).send(at).await.unwrap();
        running.signal(Signal::TERM);
        assert_eq!(running.ended().await.0, Some(0));
    }
    assert_eq!(found, [false, true]);
}

#[tokio::test]
async fn an_agent_serves_the_allowed_hosts() {
    let mut command = discovery(&AGENT);
    let mut running = Running::start(command.args(["--json", "--allow-host", "Consul"]));
    let at = running.wait_for(|output| output.lines().find_map(http_addr)).await;
    for (host, status, expected) in [
        ("consul:8500", 200, "\"127.0.0.1:8300\""),
        ("evil.example", 403, "--allow-host evil.example"),
    ] {
        let asked = Request::get("/v1/status/leader").header(HOST, HeaderValue::from_static(host));
        let answer = asked.send(at).await.unwrap();
        assert_eq!(answer.status, status, "{host}");
        assert!(answer.text().contains(expected), "{host}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_agent_warns_when_other_machines_can_reach_it() {
    for (listen, warns) in [("127.0.0.1:0", false), ("0.0.0.0:0", true), ("[::]:0", true)] {
        let arguments = ["agent", "--http-listen", listen, "--dns-listen", "127.0.0.1:0"];
        let mut running = Running::start(&mut discovery(&arguments));
        running.wait_for_text("Ctrl-C stops it.").await;
        running.signal(Signal::TERM);
        let output = running.ended().await.1;
        assert_eq!(output.contains("not on loopback"), warns, "{output}");
    }
}

const AGENT: [&str; 5] = ["agent", "--http-listen", "127.0.0.1:0", "--dns-listen", "127.0.0.1:0"];

/// The line printed by `agent --json`.
fn http_addr(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["http"].as_str()?.parse().ok()
}
