//! `doctor`: each fault is provoked and found, and nothing is found where all is well.

mod cluster;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
};

use discovery_agent::Agent;
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};
use tokio::net::{TcpListener, TcpStream};

use self::world::{Canned, Seen, dns_that_answers, put, register, run};

const NOWHERE: &str = "127.0.0.1:1";

/// The arguments for this agent, whose DNS is that of the system too.
fn at(http: SocketAddr, dns: SocketAddr) -> Vec<String> {
    let (http, dns) = (http.to_string(), dns.to_string());
    ["--http-addr", &http, "--dns-addr", &dns, "--resolver", &dns].map(str::to_owned).to_vec()
}

fn at_agent(agent: &Agent) -> Vec<String> {
    at(agent.http_addr(), agent.dns_addr())
}

fn at_consul(consul: &Consul) -> Vec<String> {
    at(consul.http_addr(), consul.dns_addr())
}

async fn agent() -> Agent {
    Agent::builder().node_name("here").start().await.unwrap()
}

/// A listener, as an instance that accepts connections.
async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[tokio::test]
async fn nothing_is_found_at_a_well_embedded_agent() {
    let (agent, (_listener, web)) = (agent().await, listener().await);
    register(agent.http_addr(), "web", web, "passing").await;
    let seen = run(&at_agent(&agent), &[]).await;
    assert_eq!((seen.code, seen.kinds.as_slice()), (0, &[] as &[String]), "{}", seen.page);
    let page = seen.page.replace(&agent.http_addr().to_string(), "<HTTP>");
    let page = page.replace(&agent.dns_addr().to_string(), "<DNS>");
    // Connections of the test that are still closing count too.
    let is_stable = |line: &&str| !line.trim().starts_with("connections: ");
    let page: String = page.lines().filter(is_stable).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!("doctor-well", page);
}

#[tokio::test]
async fn nothing_is_found_at_a_well_consul() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let (consul, (_listener, web)) = (Consul::of(&binary).start().await.unwrap(), listener().await);
    register(consul.http_addr(), "web", web, "passing").await;
    let seen = run(&at_consul(&consul), &[]).await;
    assert_eq!((seen.code, seen.kinds.as_slice()), (0, &[] as &[String]), "{}", seen.page);
}

/// The one finding, and its page with the ports that differ from run to run replaced.
#[track_caller]
fn found(seen: &Seen, kind: &str, hidden: &[SocketAddr]) {
    assert_eq!(seen.kinds, [kind], "{}", seen.page);
    let mut page = seen.page.split("Looked at:").next().unwrap().to_owned();
    for (nth, at) in hidden.iter().enumerate() {
        page = page.replace(&at.to_string(), &format!("<ADDRESS {}>", nth + 1));
    }
    insta::assert_snapshot!(format!("doctor-{kind}"), page);
}

#[tokio::test]
async fn an_agent_that_can_not_be_used_is_found() {
    let frozen = agent().await;
    frozen.freeze();
    let failing = agent().await;
    failing.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    let other = Canned::start(json!({ "/v1/status/leader": {"hello": 1} }), &[]).await;
    for (http, what) in [
        (NOWHERE.to_owned(), "No agent listens at"),
        ("no-such-host.invalid:8500".to_owned(), "is unknown: its name has no address."),
        ("unix:///nowhere/agent.sock".to_owned(), "can't be reached: No such file"),
        (frozen.http_addr().to_string(), "accepts connections and does not answer as an agent."),
        (failing.http_addr().to_string(), "answers with an error."),
        (other.to_string(), "answers, but is not a Consul agent."),
    ] {
        let arguments = ["--http-addr", &http, "--resolver", NOWHERE].map(str::to_owned);
        let seen = run(&arguments, &[]).await;
        assert_eq!(
            (seen.code, seen.kinds.as_slice()),
            (1, &["agent".to_owned()][..]),
            "{}",
            seen.page
        );
        assert!(seen.page.lines().next().unwrap().contains(what), "{}", seen.page);
    }
}

#[tokio::test]
async fn connections_that_are_used_up_are_found() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = Consul::of(&binary).start().await.unwrap();
    for (open, what) in
        [(170, "nearly used up its connections"), (200, "has used up its connections")]
    {
        let mut held = Vec::new();
        for _ in 0..open {
            held.push(TcpStream::connect(consul.http_addr()).await.unwrap());
        }
        let seen = run(&at_consul(&consul), &[]).await;
        assert_eq!(seen.kinds, ["connections"], "{}", seen.page);
        assert!(seen.page.contains(what), "{}", seen.page);
    }
}

#[tokio::test]
async fn acls_that_deny_or_hide_are_found() {
    const TOKEN: &str = "11111111-1111-1111-1111-111111111111";
    const NODES_TOKEN: &str = "33333333-3333-3333-3333-333333333333";
    let Some(binary) = Binary::find_or_skip() else { return };
    // Until it is ready the agent treats a request without a token as the master's; after that as anonymous.
    let tokens = json!({ "master": TOKEN, "agent": TOKEN, "default": TOKEN });
    let acl = json!({ "enabled": true, "default_policy": "deny", "tokens": tokens });
    let consul = Consul::of(&binary).config(json!({ "acl": acl })).start().await.unwrap();
    put(consul.http_addr(), "/v1/agent/token/default", r#"{"Token": ""}"#).await;
    let arguments = at_consul(&consul);
    let with = |token| [("CONSUL_HTTP_TOKEN", token)];
    found(&run(&arguments, &[]).await, "acl-hidden", &[]);
    found(&run(&arguments, &with("22222222-2222-2222-2222-222222222222")).await, "acl-token", &[]);
    let well = run(&arguments, &with(TOKEN)).await;
    assert_eq!((well.code, well.kinds.as_slice()), (0, &[] as &[String]), "{}", well.page);
    // A token that can read nodes, and so sees the server, but no service.
    let policy = json!({ "Name": "nodes", "Rules": r#"node_prefix "" { policy = "read" }"# });
    let nodes = json!({ "SecretID": NODES_TOKEN, "Policies": [{ "Name": "nodes" }] });
    let token = HeaderName::from_static("x-consul-token");
    for (path, body) in [("/v1/acl/policy", policy), ("/v1/acl/token", nodes)] {
        let request = Request::put(path).header(token.clone(), TOKEN.parse().unwrap());
        let request = request.body(body.to_string());
        let answer = request.send(consul.http_addr()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
    let blind = run(&arguments, &with(NODES_TOKEN)).await;
    assert_eq!(blind.kinds, ["acl-hidden"], "{}", blind.page);
    assert!(blind.page.contains("no service `consul`"), "{}", blind.page);
    let filtered = Canned::start(world::well(), &["X-Consul-Results-Filtered-By-ACLs: true"]).await;
    let seen = run(&at(filtered, consul.dns_addr()), &[]).await;
    assert_eq!(seen.kinds, ["acl-hidden"], "{}", seen.page);
}

#[tokio::test]
async fn a_service_about_which_there_is_no_answer_is_not_taken_for_one_without_instances() {
    let agent = agent().await;
    // It answers 404 about it, as no agent does about a service.
    let failing = Canned::start(world::well(), &[]).await;
    let mut arguments = at(failing, agent.dns_addr());
    arguments.push("web".to_owned());
    let seen = run(&arguments, &[]).await;
    assert_eq!((seen.code, seen.kinds.as_slice()), (0, &[] as &[String]), "{}", seen.page);
    assert!(seen.page.contains("; services without an answer 1"), "{}", seen.page);
}

#[tokio::test]
async fn dns_that_does_not_answer_as_consul_is_found() {
    let agent = agent().await;
    let other = dns_that_answers(Ipv4Addr::new(10, 1, 1, 1)).await;
    let (http, dns) = (agent.http_addr().to_string(), agent.dns_addr().to_string());
    let other_text = other.to_string();
    let with = |dns: &str, resolver: &str| {
        ["--http-addr", &http, "--dns-addr", dns, "--resolver", resolver].map(str::to_owned)
    };
    let hidden = [agent.dns_addr(), other];
    found(&run(&with(NOWHERE, &dns), &[]).await, "dns", &hidden);
    found(&run(&with(&dns, &other_text), &[]).await, "dns-other", &hidden);
    let hint = run(&with(&dns, NOWHERE), &[]).await;
    assert_eq!(hint.code, 0, "a hint is no fault");
    found(&hint, "dns-not-forwarded", &hidden);
}

#[tokio::test]
async fn truncated_answers_are_found() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = Consul::of(&binary).start().await.unwrap();
    let mut listeners = Vec::new();
    for _ in 0..5 {
        let (listener, at) = listener().await;
        register(consul.http_addr(), "web", at, "passing").await;
        listeners.push(listener);
    }
    found(&run(&at_consul(&consul), &[]).await, "dns-truncated", &[]);
}

#[tokio::test]
async fn registrations_that_mislead_callers_are_found() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let (_listener, web) = listener().await;
    let nowhere: SocketAddr = NOWHERE.parse().unwrap();
    let record = |node: &str, name: &str, id: &str, at: SocketAddr| {
        json!({ "Node": node, "Address": "10.9.9.9",
            "Service": { "Service": name, "ID": id, "Address": at.ip(), "Port": at.port() } })
    };
    for (kind, records) in [
        ("loopback", vec![record("other", "web", "web-1", web)]),
        (
            "same-id",
            vec![
                record("other", "web", "web-1", spare(1)),
                record("more", "web", "web-1", spare(2)),
            ],
        ),
        (
            "same-address",
            vec![
                record("other", "web", "web-1", spare(1)),
                record("more", "web", "web-2", spare(1)),
            ],
        ),
    ] {
        let consul = Consul::of(&binary).start().await.unwrap();
        for record in &records {
            put(consul.http_addr(), "/v1/catalog/register", &record.to_string()).await;
        }
        let seen = run(&at_consul(&consul), &[]).await;
        let kinds: Vec<_> = seen.kinds.iter().filter(|it| *it != "unreachable").cloned().collect();
        let seen = Seen { kinds, ..seen };
        assert_eq!(seen.kinds, [kind], "{}", seen.page);
    }
    let agent = agent().await;
    register(agent.http_addr(), "web", nowhere, "passing").await;
    found(&run(&at_agent(&agent), &[]).await, "unreachable", &[]);
    let agent = self::agent().await;
    register(agent.http_addr(), "web", nowhere, "critical").await;
    found(&run(&at_agent(&agent), &[]).await, "never-checked", &[]);
    let mut named = at_agent(&agent);
    named.extend(["db".to_owned(), "consul".to_owned()]);
    found(&run(&named, &[]).await, "no-instance", &[]);
}

/// An address of another network.
fn spare(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, host], 80))
}

#[tokio::test]
async fn clocks_that_are_apart_and_closed_ports_are_found() {
    let agent = agent().await;
    let late = Canned::start(world::well(), &["Date: Fri, 01 Jan 2021 00:00:00 GMT"]).await;
    let seen = run(&at(late, agent.dns_addr()), &[]).await;
    assert_eq!(seen.kinds, ["clock"], "{}", seen.page);
    assert!(seen.page.contains(" s behind that of this machine."), "{}", seen.page);
    let mut answers = world::well();
    let other = json!({ "Name": "other", "Addr": "127.0.0.1", "Port": 1, "Status": 1,
        "Tags": { "role": "consul", "port": "2", "wan_join_port": "3" } });
    answers["/v1/agent/members"].as_array_mut().unwrap().push(other);
    let closed = Canned::start(answers, &[]).await;
    found(&run(&at(closed, agent.dns_addr()), &[]).await, "ports", &[]);
}

#[tokio::test]
async fn variables_in_the_way_are_found() {
    let agent = agent().await;
    let arguments = at_agent(&agent);
    let hidden = [agent.http_addr()];
    let proxied = run(&arguments, &[("http_proxy", "http://jo:s3cret@proxy:3128")]).await;
    assert!(!proxied.page.contains("s3cret"), "{}", proxied.page);
    found(&proxied, "proxy", &hidden);
    let excepted = [("http_proxy", "http://proxy:3128"), ("no_proxy", "example.com, 127.0.0.0/8")];
    assert_eq!(run(&arguments, &excepted).await.code, 0);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let path = file.to_str().unwrap().to_owned();
    let variable = [("CONSUL_HTTP_TOKEN_FILE", path.as_str())];
    for (content, mode, what) in [
        (None, 0, "can't be read."),
        (Some(" \n"), 0o600, "is blank."),
        (Some("token"), 0o644, "Every user of this machine can read the token file"),
        (Some("token"), 0o600, "Nothing wrong found."),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let seen = run(&arguments, &variable).await;
        let first = seen.page.lines().next().unwrap();
        assert!(first.contains(what), "{}", seen.page);
    }
    let seen = run(&[], &[("CONSUL_HTTP_ADDR", "tcp://localhost:8500")]).await;
    found(&seen, "setting", &[]);
}

#[tokio::test]
async fn findings_are_printed_as_json() {
    let arguments = ["--http-addr", NOWHERE, "--resolver", NOWHERE].map(str::to_owned);
    let seen = run(&arguments, &[]).await;
    let finding: &Value = &seen.json["findings"][0];
    assert_eq!((&finding["kind"], &finding["level"]), (&json!("agent"), &json!("fault")));
    assert!(finding["remedy"].as_str().unwrap().starts_with("Start one with"), "{finding}");
    assert_eq!(seen.json["looked_at"][1], "agent: 127.0.0.1:1, no answer");
}
