//! What a real Consul answered is read, and written again as it was: so an agent that writes these types writes what Consul writes, and a client
//! that reads them loses nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

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
fn comes_back_the_same<T: DeserializeOwned + Serialize + Debug>(name: &str) {
    let written = serde_json::to_value(read::<T>(name)).unwrap();
    // Consul writes no tags as `[]` everywhere but in the health of an agent's own services.
    let text = recorded(name).replace("\"ServiceTags\": null", "\"ServiceTags\": []");
    let as_recorded: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written, as_recorded, "{name}");
}

#[test]
fn answers_come_back_as_they_were() {
    comes_back_the_same::<Vec<ServiceEntry>>("health-service");
    comes_back_the_same::<Vec<ServiceEntry>>("health-service-unknown");
    comes_back_the_same::<Vec<HealthCheck>>("health-checks");
    comes_back_the_same::<Vec<HealthCheck>>("health-node");
    comes_back_the_same::<Vec<HealthCheck>>("health-state");
    comes_back_the_same::<Vec<CatalogService>>("catalog-service");
    comes_back_the_same::<Vec<CatalogService>>("catalog-service-ipv6");
    comes_back_the_same::<Option<NodeServices>>("catalog-node");
    comes_back_the_same::<Option<NodeServices>>("catalog-node-unknown");
    comes_back_the_same::<Vec<Node>>("catalog-nodes");
    comes_back_the_same::<Services>("catalog-services");
    comes_back_the_same::<Map<AgentService>>("agent-services");
    comes_back_the_same::<AgentService>("agent-service");
    comes_back_the_same::<Map<HealthCheck>>("agent-checks");
    comes_back_the_same::<Vec<Member>>("agent-members");
    comes_back_the_same::<Vec<Member>>("agent-members-wan");
    comes_back_the_same::<AgentServiceHealth>("agent-health-by-id");
    comes_back_the_same::<AgentServiceHealth>("agent-health-unknown");
    comes_back_the_same::<Vec<AgentServiceHealth>>("agent-health-by-name");
}

#[test]
fn fields_are_read_for_what_they_are() {
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

/// Consul keeps any number as a port and any word as a status.
#[test]
fn odd_records_are_read_one_by_one_and_only_a_port_that_is_none_makes_one_unusable() {
    let records: Vec<Value> = read("health-service-odd");
    let read: Vec<_> = records.iter().map(ServiceEntry::deserialize).collect();
    let ports: Vec<_> = records.iter().map(|it| it["Service"]["Port"].as_i64().unwrap()).collect();
    assert_eq!(ports, [85, 85, -1, 0, 70_000, 99_999_999_999_999]);
    let usable: Vec<_> = read.iter().map(Result::is_ok).collect();
    assert_eq!(usable, [true, true, false, true, false, false]);
    let says = read[4].as_ref().unwrap_err().to_string();
    assert_eq!(says, "70000 is no port: a port is 1 to 65535");
    let status = &read[0].as_ref().unwrap().checks[0];
    assert_eq!(
        (records[0]["Checks"][0]["Status"].as_str(), status.status),
        (Some("maintenance"), CheckStatus::Critical)
    );
    assert_eq!(read[1].as_ref().unwrap().service.tagged_addresses["lan"].port, 0, "-7 as served");
}

/// A client must read what newer and older Consuls write.
#[test]
fn missing_null_and_unknown_fields_are_no_hindrance() {
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
