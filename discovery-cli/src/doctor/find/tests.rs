//! Rows: facts, and the kinds of findings that follow. The end-to-end tests provoke most of them; these are the boundaries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::doctor::facts::{Agent, Dial, Lookup, Reply};

fn answered(body: Value) -> Reply {
    Reply::Answered {
        status: 200,
        is_filtered: false,
        has_leader: Some(true),
        body,
        text: String::new(),
    }
}

fn refused(text: &str) -> Reply {
    let text = text.to_owned();
    Reply::Answered { status: 403, is_filtered: false, has_leader: None, body: Value::Null, text }
}

/// An agent on this machine, without anything wrong.
fn agent() -> Agent {
    Agent {
        address: "127.0.0.1:8500".into(),
        host: Some("127.0.0.1".into()),
        is_here: true,
        dial: Dial::Connected,
        leader: answered(json!("10.0.0.1:8300")),
        itself: answered(json!({ "Member": { "Name": "larry" } })),
        members: answered(json!([{ "Name": "larry", "Status": 1 }])),
        nodes: answered(json!([{ "Node": "larry" }])),
        services: answered(json!({ "consul": [] })),
        token: Reply::NotAsked,
        ahead: Some(0.3),
    }
}

fn facts(agent: Agent) -> Facts {
    Facts { agent: Some(agent), ..Facts::default() }
}

#[track_caller]
fn check(facts: &Facts, expected: &[&str]) {
    let found = all(facts);
    assert_eq!(found.iter().map(|it| it.kind).collect::<Vec<_>>(), expected, "{found:#?}");
}

#[test]
fn nothing_is_found_where_all_is_well() {
    check(&facts(agent()), &[]);
    check(&Facts::default(), &[]);
}

#[test]
fn an_agent_is_judged_by_its_answers() {
    let no_leader = Reply::Answered {
        status: 200,
        is_filtered: false,
        has_leader: Some(false),
        body: json!([{ "Node": "larry" }]),
        text: String::new(),
    };
    for (agent, kinds) in [
        (Agent { dial: Dial::TimedOut, leader: Reply::NotAsked, ..agent() }, &["agent"][..]),
        (Agent { leader: answered(json!("")), ..agent() }, &["leader"]),
        (Agent { nodes: no_leader, ..agent() }, &["leader"]),
        (Agent { ahead: Some(5.0), ..agent() }, &[]),
        (Agent { ahead: Some(5.1), ..agent() }, &["clock"]),
        (Agent { ahead: Some(-5.1), ..agent() }, &["clock"]),
        (Agent { ahead: None, ..agent() }, &[]),
    ] {
        check(&facts(agent), kinds);
    }
}

#[test]
fn connections_near_the_limit_of_the_agent_are_found() {
    let limited = |max: Value| {
        let itself = json!({ "Member": { "Name": "larry" }, "DebugConfig": { "HTTPMaxConnsPerClient": max } });
        Agent { itself: answered(itself), ..agent() }
    };
    for (open, max, kinds) in [
        (149, Value::Null, &[][..]),
        (150, Value::Null, &["connections"]),
        (150, json!(400), &[]),
        (300, json!(400), &["connections"]),
        (10_000, json!(0), &[]),
    ] {
        check(&Facts { connections: open, ..facts(limited(max)) }, kinds);
    }
    let silent = Agent { leader: Reply::Failed("reset".into()), ..agent() };
    check(&Facts { connections: 200, ..facts(silent) }, &["connections"]);
}

#[test]
fn a_token_for_the_catalog_alone_is_enough_for_services() {
    let denied = || refused("Permission denied");
    let own = all(&facts(Agent { itself: denied(), ..agent() }));
    assert_eq!(
        own.iter().map(|it| (it.kind, it.is_fault())).collect::<Vec<_>>(),
        [("acl-denied", false)]
    );
    let nodes = all(&facts(Agent { nodes: denied(), ..agent() }));
    assert_eq!(
        nodes.iter().map(|it| (it.kind, it.is_fault())).collect::<Vec<_>>(),
        [("acl-denied", true)]
    );
    let hidden = Agent { itself: denied(), nodes: answered(json!([])), ..agent() };
    check(&facts(hidden), &["acl-hidden"]);
    for (services, kinds) in [
        (json!({}), &["acl-hidden"][..]),
        (json!({ "web": [] }), &["acl-hidden"]),
        (json!({ "consul": [] }), &[]),
    ] {
        check(&facts(Agent { services: answered(services), ..agent() }), kinds);
    }
}

#[test]
fn a_proxy_is_in_the_way_unless_the_host_is_excepted() {
    for (name, host, exceptions, is_found) in [
        ("http_proxy", "127.0.0.1", "", true),
        ("ALL_PROXY", "localhost", "", true),
        ("no_proxy", "127.0.0.1", "", false),
        ("http_proxy", "127.0.0.1", "a.example, 127.0.0.1", false),
        ("http_proxy", "10.1.2.3", "10.0.0.0/8", false),
        ("http_proxy", "11.1.2.3", "10.0.0.0/8", true),
        ("http_proxy", "11.1.2.3", "0.0.0.0/0", false),
        ("http_proxy", "consul.example", ".example", false),
        ("http_proxy", "consulexample", "example", true),
        ("http_proxy", "consul.example", "*", false),
        ("http_proxy", "[::1]", "::1", false),
    ] {
        let agent = Agent { host: Some(host.into()), ..agent() };
        let mut facts = facts(agent);
        let set = [(name, "http://proxy:3128"), ("NO_PROXY", exceptions)];
        let set = set.into_iter().filter(|(_, value)| !value.is_empty());
        facts.variables.proxies = set.map(|(name, value)| (name.into(), value.into())).collect();
        check(&facts, if is_found { &["proxy"] } else { &[] });
    }
    let unix = Agent { host: None, ..agent() };
    let mut facts = facts(unix);
    facts.variables.proxies = [("http_proxy".into(), "http://proxy:3128".into())].into();
    check(&facts, &[]);
}

/// A registration: node, its address, service, id, address.
fn record(node: (&str, &str), (service, id): (&str, &str), address: &str, checks: &Value) -> Value {
    json!({
        "Node": { "Node": node.0, "Address": node.1 },
        "Service": { "Service": service, "ID": id, "Address": address, "Port": 80 },
        "Checks": checks,
    })
}

fn with(records: &[Value], agent: Agent) -> Facts {
    let records = records.iter().map(|it| serde_json::from_value(it.clone()).unwrap());
    Facts { records: records.collect(), ..facts(agent) }
}

#[test]
fn records_are_compared_within_what_consul_allows() {
    let (larry, moe, local) = (("larry", "10.0.0.1"), ("moe", "10.0.0.3"), ("moe", "127.0.0.1"));
    let web = |node, id, address| record(node, ("web", id), address, &json!([]));
    for (records, kinds) in [
        (vec![web(larry, "web-1", "10.0.0.1"), web(moe, "web-2", "10.0.0.3")], &[][..]),
        // The default id is the name, so that each node has it.
        (vec![web(larry, "web", "10.0.0.1"), web(moe, "web", "10.0.0.3")], &[]),
        (vec![web(larry, "web-1", "10.0.0.1"), web(moe, "web-1", "10.0.0.3")], &["same-id"]),
        (vec![web(larry, "web-1", "10.0.0.1"), web(moe, "web-2", "10.0.0.1")], &["same-address"]),
        // Loopback of the agent's node is this machine; of a node at loopback too; of others it is not.
        (vec![web(larry, "web-1", "127.0.0.1")], &[]),
        (vec![web(local, "web-1", "127.0.0.1")], &[]),
        (vec![web(moe, "web-1", "127.0.0.1")], &["loopback"]),
    ] {
        check(&with(&records, agent()), kinds);
    }
    let away = Agent { is_here: false, ..agent() };
    check(&with(&[web(larry, "web-1", "127.0.0.1")], away), &["loopback"]);
    let two =
        [web(larry, "web", "10.0.0.1"), record(larry, ("api", "api"), "10.0.0.1", &json!([]))];
    let found = all(&with(&two, agent()));
    assert_eq!(
        found.iter().map(|it| (it.kind, it.is_fault())).collect::<Vec<_>>(),
        [("same-address", false)]
    );
}

#[test]
fn only_checks_that_never_ran_are_found() {
    let check_of = |id: &str, service: &str, status: &str, output: &str| json!({ "Node": "larry", "CheckID": id, "Name": id, "Status": status, "Output": output, "ServiceID": service });
    let serf = check_of("serfHealth", "", "passing", "Agent alive and reachable");
    let own = |status: &str, output: &str| check_of("service:web", "web-1", status, output);
    for (checks, is_found) in [
        (vec![own("critical", "")], true),
        (vec![own("critical", "TTL expired")], true),
        (vec![own("critical", "TTL expired (last output before timeout follows): ok")], false),
        (vec![own("critical", "connection refused")], false),
        (vec![own("passing", "")], false),
        (vec![own("critical", ""), own("passing", "ok")], false),
        (vec![], false),
        (vec![check_of("_service_maintenance:web-1", "web-1", "critical", "")], false),
    ] {
        let checks: Vec<_> = [serf.clone()].into_iter().chain(checks).collect();
        let record = record(("larry", "10.0.0.1"), ("web", "web-1"), "10.0.0.1", &json!(checks));
        check(&with(&[record], agent()), if is_found { &["never-checked"] } else { &[] });
    }
}

#[test]
fn only_answers_with_fewer_records_and_no_mark_are_truncated() {
    let answer = |count, is_truncated| Lookup::Answered {
        code: "NOERROR".into(),
        addresses: std::collections::BTreeSet::new(),
        count,
        is_truncated,
    };
    let records: Vec<_> = ["web-1", "web-2"]
        .iter()
        .zip(["10.0.0.1", "10.0.0.2"])
        .map(|(id, at)| record(("larry", "10.0.0.1"), ("web", id), at, &json!([])))
        .collect();
    for (answer, kinds) in [
        (answer(2, false), &[][..]),
        (answer(1, true), &[]),
        (answer(1, false), &["dns-truncated"]),
        (answer(0, false), &[]),
        (Lookup::Failed("no answer".into()), &[]),
    ] {
        let mut facts = with(&records, agent());
        facts.dns.services = BTreeMap::from([("web".to_owned(), answer)]);
        check(&facts, kinds);
    }
}
