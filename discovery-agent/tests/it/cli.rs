//! The real `consul` command on the embedded agent and on a real one, with the same results.

use std::{io::Write, net::SocketAddr, process::Output};

use discovery_agent::Agent;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use testkit::consul::{Binary, Consul};
use tokio::process::Command;

use crate::requests::get;

/// Executes the command with an empty environment except for the agent's address.
async fn consul(binary: &Binary, to: SocketAddr, args: &[&str]) -> Output {
    Command::new(binary.path())
        .args(args)
        .env_clear()
        .env("CONSUL_HTTP_ADDR", to.to_string())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

/// The output of the command, without the ids, ports and indexes of an agent.
async fn printed(binary: &Binary, to: SocketAddr, args: &[&str]) -> (Option<i32>, String) {
    let output = consul(binary, to, args).await;
    let node = get(to, "/v1/agent/self").await.json()["Config"]["NodeID"].clone();
    let node = node.as_str().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text.replace(node, "NODE").replace(&node[..8], "NODE");
    let words: Vec<_> = text.split_whitespace().map(without_ports).collect();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words.join(" ") + &errors)
}

/// Numbers of four digits and more are ports here.
fn without_ports(word: &str) -> String {
    let mut kept = String::new();
    for part in word.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        let port = if digits.len() >= 4 { "PORT" } else { digits };
        kept.extend([port, &part[digits.len()..]]);
    }
    kept
}

/// The JSON output of a watch, without the ids and indexes of an agent.
async fn watched(binary: &Binary, to: SocketAddr, args: &[&str]) -> Value {
    let output = consul(binary, to, args).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut value = serde_json::from_str(&text)
        .unwrap_or_else(|err| panic!("{args:?}: {err}: {text} {output:?}"));
    remove_own(&mut value);
    value
}

fn remove_own(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // The id of a node is a UUID, that of a service is what it registered.
            let is_node = fields.contains_key("Datacenter");
            for (key, value) in fields.iter_mut() {
                let own = key.ends_with("Index") || (is_node && key == "ID");
                // The ports of communication between servers.
                if own || key == "Port" && value.as_u64().is_some_and(|port| port > 8000) {
                    *value = json!("own");
                } else {
                    remove_own(value);
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(remove_own);
            // Consul lists the tags that a name's instances have in any order.
            if items.iter().all(Value::is_string) {
                items.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_command_has_the_same_results() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let real = Consul::of(&binary).node("node1").start().await.unwrap();
    let agent = Agent::builder().node_name("node1").start().await.unwrap();
    let (theirs, ours) = (real.http_addr(), agent.http_addr());

    let mut file = NamedTempFile::with_suffix(".json").unwrap();
    let service = json!({ "service": {
        "id": "web1", "name": "web", "tags": ["a", "b"], "port": 80, "address": "10.0.0.1",
        "meta": { "v": "1" }, "checks": [{ "name": "alive", "ttl": "1h", "status": "passing" }],
    }});
    write!(file, "{service}").unwrap();
    let file = file.path().to_str().unwrap().to_owned();

    let commands: &[&[&str]] = &[
        &["members"],
        &["members", "-detailed"],
        &["members", "-wan"],
        &["catalog", "datacenters"],
        &["catalog", "nodes"],
        &["catalog", "nodes", "-detailed"],
        &["catalog", "services"],
        &["services", "register", &file],
        &["services", "register", "-name=plain", "-port=9", "-tag=x"],
        &["services", "register", "-name=bad", "-meta=a b=c"],
        &["catalog", "services", "-tags"],
        &["catalog", "services", "-node=node1"],
        &["catalog", "nodes", "-service=web"],
        &["catalog", "nodes", "-service=stranger"],
        &["catalog", "nodes", "-near=_agent"],
        &["catalog", "nodes", "-filter=bad filter"],
        &["maint", "-enable", "-service=web1", "-reason=why"],
        &["maint"],
        &["maint", "-disable", "-service=web1"],
        &["maint", "-enable", "-reason=all"],
        &["maint"],
        &["maint", "-disable"],
        &["services", "deregister", "-id=plain"],
        &["services", "deregister", "-id=stranger"],
        &["catalog", "services"],
    ];
    for command in commands {
        let theirs = printed(&binary, theirs, command).await;
        let ours = printed(&binary, ours, command).await;
        if command.contains(&"-filter=bad filter") {
            assert_eq!((theirs.0, ours.0), (Some(1), Some(1)), "{theirs:?} {ours:?}");
        } else {
            assert_eq!(theirs, ours, "{command:?}");
        }
    }
    assert_eq!(consul(&binary, ours, &["info"]).await.status.code(), Some(0));

    let watches: &[&[&str]] = &[
        &["watch", "-type=service", "-service=web"],
        &["watch", "-type=service", "-service=web", "-passingonly=true", "-tag=a"],
        &["watch", "-type=service", "-service=stranger"],
        &["watch", "-type=services"],
        &["watch", "-type=nodes"],
        &["watch", "-type=checks"],
        &["watch", "-type=checks", "-service=web"],
        &["watch", "-type=checks", "-state=critical"],
    ];
    for watch in watches {
        let (theirs, ours) =
            (watched(&binary, theirs, watch).await, watched(&binary, ours, watch).await);
        assert_eq!(theirs, ours, "{watch:?}");
    }
}

/// A watch with a handler receives the current state, and then each change.
#[tokio::test]
async fn a_watch_receives_changes() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let agent = Agent::start().await.unwrap();
    let to = agent.http_addr();
    let mut watch = Command::new(binary.path())
        .args(["watch", "-type=service", "-service=web", "/bin/cat"])
        .env_clear()
        .env("CONSUL_HTTP_ADDR", to.to_string())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut documents = tokio::io::BufReader::new(watch.stdout.take().unwrap());
    assert_eq!(next(&mut documents).await, json!([]));
    crate::requests::register(to, "w", "critical").await;
    assert_eq!(next(&mut documents).await[0]["Service"]["ID"], "w");
    crate::requests::put(to, "/v1/agent/check/pass/service:w", &json!({})).await;
    assert_eq!(next(&mut documents).await[0]["Checks"][1]["Status"], "passing");
    crate::requests::put(to, "/v1/agent/service/deregister/w", &json!({})).await;
    assert_eq!(next(&mut documents).await, json!([]));
    watch.kill().await.unwrap();
}

/// The next document that the watch's handler prints: one per line.
async fn next(documents: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Value {
    use tokio::io::AsyncBufReadExt as _;
    let mut line = String::new();
    let read = documents.read_line(&mut line);
    tokio::time::timeout(crate::requests::SOON, read).await.expect("no document").unwrap();
    serde_json::from_str(&line).unwrap()
}
