//! Recorded answers of a real Consul are deserialized and serialized again without a difference: an agent that serializes these types writes
//! what Consul writes, and a client that deserializes them loses nothing.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{fmt::Debug, fs, path::Path};

use consul_wire::{
    agent::{AgentSelf, AgentService, AgentServiceHealth, Member},
    catalog::{CatalogService, NodeServices, Services},
    check::{CheckStatus, HealthCheck},
    service::{Node, ServiceEntry, Weights},
};
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_json::Value;

type Map<T> = std::collections::BTreeMap<String, T>;

fn recorded(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    fs::read_to_string(dir.join(name).with_extension("json")).unwrap()
}

#[track_caller]
fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&recorded(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

#[track_caller]
fn round_trips<T: DeserializeOwned + Serialize + Debug>(name: &str) {
    let written = serde_json::to_value(read::<T>(name)).unwrap();
    // Consul writes no tags as `[]` everywhere except in the health of an agent's own services.
    let text = recorded(name).replace("\"ServiceTags\": null", "\"ServiceTags\": []");
    let as_recorded: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written, as_recorded, "{name}");
}

#[test]
fn recorded_answers_round_trip() {
    round_trips::<Vec<ServiceEntry>>("health-service");
    round_trips::<Vec<ServiceEntry>>("health-service-unknown");
    round_trips::<Vec<HealthCheck>>("health-checks");
    round_trips::<Vec<HealthCheck>>("health-node");
    round_trips::<Vec<HealthCheck>>("health-state");
    round_trips::<Vec<CatalogService>>("catalog-service");
    round_trips::<Vec<CatalogService>>("catalog-service-ipv6");
    round_trips::<Option<NodeServices>>("catalog-node");
    round_trips::<Option<NodeServices>>("catalog-node-unknown");
    round_trips::<Vec<Node>>("catalog-nodes");
    round_trips::<Services>("catalog-services");
    round_trips::<Map<AgentService>>("agent-services");
    round_trips::<AgentService>("agent-service");
    round_trips::<Map<HealthCheck>>("agent-checks");
    round_trips::<Vec<Member>>("agent-members");
    round_trips::<Vec<Member>>("agent-members-wan");
    round_trips::<AgentServiceHealth>("agent-health-by-id");
    round_trips::<AgentServiceHealth>("agent-health-unknown");
    round_trips::<Vec<AgentServiceHealth>>("agent-health-by-name");
}

#[test]
fn fields_have_the_recorded_values() {
    let web: Vec<ServiceEntry> = read("health-service");
    let ids: Vec<&str> = web.iter().map(|entry| entry.service.id.as_str()).collect();
    assert_eq!(ids, ["web1", "web2", "web3"]);
    let first = &web[0];
    assert_eq!((first.service.address.as_str(), first.service.port), ("10.0.0.1", 8080));
    assert_eq!((first.service.weights.passing, first.service.weights.warning), (10, 1));
    assert_eq!(first.service.meta["v"], "1");
    assert_eq!(first.service.tagged_addresses["lan_ipv4"].port, 8080);
    let own = first.checks.iter().find(|check| check.check_id == "service:web1").unwrap();
    assert_eq!((own.status, own.kind.as_str()), (CheckStatus::Passing, "ttl"));
    assert_eq!(web[1].service.meta.len(), 0, "written as null");
    assert!(web[2].checks.iter().any(|check| check.kind == "maintenance"));
    assert!(web[2].service.enable_tag_override);

    let own: AgentSelf = read("agent-self");
    assert_eq!((own.config.datacenter.as_str(), own.config.node_name.as_str()), ("dc1", "larry"));
    assert_eq!((own.config.server, own.config.version.as_str()), (true, "1.8.7"));
}

/// Consul stores any number as a port and any text as a status.
#[test]
fn invalid_records_are_read_one_by_one_and_only_an_invalid_port_is_an_error() {
    let records: Vec<Value> = read("health-service-odd");
    let read: Vec<_> = records.iter().map(ServiceEntry::deserialize).collect();
    let ports: Vec<_> = records.iter().map(|it| it["Service"]["Port"].as_i64().unwrap()).collect();
    assert_eq!(ports, [85, 85, -1, 0, 70_000, 99_999_999_999_999]);
    let usable: Vec<_> = read.iter().map(Result::is_ok).collect();
    assert_eq!(usable, [true, true, false, true, false, false]);
    let error = read[4].as_ref().unwrap_err().to_string();
    assert_eq!(error, "70000 is not a port: a port is 0 to 65535");
    let status = &read[0].as_ref().unwrap().checks[0];
    assert_eq!(
        (records[0]["Checks"][0]["Status"].as_str(), status.status),
        (Some("maintenance"), CheckStatus::Critical)
    );
    assert_eq!(read[1].as_ref().unwrap().service.tagged_addresses["lan"].port, 0, "-7 as served");
}

/// A client must read answers of older and newer versions.
#[test]
fn missing_null_and_unknown_fields_are_accepted() {
    let service =
        r#"{"ID":"a","Service":"a","Tags":null,"Meta":null,"Weights":{"Passing":2},"New":{}}"#;
    let read: consul_wire::service::Service = serde_json::from_str(service).unwrap();
    assert_eq!((read.tags.len(), read.meta.len(), read.weights.passing), (0, 0, 2));
    let entry = format!(r#"{{"Node":{{"Node":"n"}},"Service":{service},"Checks":null}}"#);
    let read: ServiceEntry = serde_json::from_str(&entry).unwrap();
    assert!(read.checks.is_empty());
    for weights in ["null", r#"{"Passing":-1,"Warning":1}"#, r#"{"Passing":70000}"#] {
        let service = format!(r#"{{"ID":"a","Service":"a","Weights":{weights}}}"#);
        let read: consul_wire::service::Service = serde_json::from_str(&service).unwrap();
        assert_eq!(read.weights, Weights::default(), "{weights}");
        let read: AgentService = serde_json::from_str(&service).unwrap();
        assert_eq!(read.weights, Weights::default(), "{weights}");
    }
}
