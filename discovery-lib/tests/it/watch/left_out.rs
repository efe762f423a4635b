//! Records that the catalog accepts and that can't be called.

use discovery::{Discovery, Settings, agent::AgentSettings};
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};

use super::until::{until, until_instances};

async fn put(consul: &Consul, target: &str, body: serde_json::Value) {
    let asked = Request::put(target).body(body.to_string()).send(consul.http_addr()).await;
    let answer = asked.unwrap();
    assert!(answer.status.is_success(), "{body}: {} {}", answer.status, answer.text());
}

/// Consul 1.8.7 accepts and serves each of them.
async fn register_invalid_records(consul: &Consul) {
    for (id, address, port) in [
        ("too-high", "10.0.0.2", 70_000),
        ("negative", "10.0.0.2", -1),
        ("huge", "10.0.0.2", 99_999_999_999_999_i64),
        ("none", "10.0.0.2", 0),
        ("spaces", "a host with spaces", 80),
        ("url", "http://10.0.0.2/", 80),
    ] {
        let service = json!({"ID": id, "Name": "web", "Address": address, "Port": port});
        put(consul, "/v1/agent/service/register", service).await;
    }
    let tagged = json!({"wan": {"Address": "1.2.3.4", "Port": 70_000}, "lan": null});
    let service = json!({"ID": "tagged", "Name": "web", "Address": "10.0.0.1", "Port": 81,
        "TaggedAddresses": tagged, "Weights": null, "Meta": {"k": null}, "Tags": [null]});
    put(consul, "/v1/agent/service/register", service).await;
    for (node, port, status) in [("moe", 82, "unknown"), ("curly", 83, "Passing")] {
        let check = json!({"CheckID": "x", "Name": "x", "ServiceID": "web", "Status": status});
        let service = json!({"ID": "web", "Service": "web", "Address": "10.0.0.1", "Port": port});
        let node = json!({"Node": node, "Address": "10.0.0.9", "Service": service, "Check": check});
        put(consul, "/v1/catalog/register", node).await;
    }
}

#[tokio::test]
async fn an_invalid_record_hides_no_other() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = Consul::of(&binary).start().await.unwrap();
    register_invalid_records(&consul).await;
    let agent = AgentSettings::new(consul.http_addr());
    let discovery = Discovery::new(Settings::new(agent)).unwrap();
    let mut watch = discovery.watch("web");
    let known = ["10.0.0.1:83 critical", "10.0.0.1:82 critical", "10.0.0.1:81 passing"];
    until_instances(&mut watch, &known).await;
    let good = json!({"ID": "good", "Name": "web", "Address": "10.0.0.1", "Port": 84});
    put(&consul, "/v1/agent/service/register", good).await;
    until(&mut watch, |watched| {
        watched.snapshot.iter().any(|it| it.instances.iter().any(|one| one.port == 84))
    })
    .await;
}
