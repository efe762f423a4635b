//! The content of records: addresses, ports, weights, and the instances that are excluded.

use serde_json::{Value, json};
use testkit::dns::hickory_proto::rr::RecordType;

use super::{answers, ask, data, is_no_data, is_no_name};
use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(srv_has_port_weight_and_target),
    row!(srv_includes_the_addresses),
    row!(the_weight_depends_on_the_status),
    row!(warning_is_included_and_critical_is_excluded),
    row!(maintenance_is_excluded),
    row!(the_default_address_is_that_of_the_node),
    row!(a_host_name_is_a_target_and_an_alias),
    row!(a_host_name_of_consul_is_followed),
    row!(ipv6_addresses_are_aaaa),
    row!(ipv4_written_as_ipv6_is_ipv4),
    row!(families_do_not_mix),
    row!(no_target_is_the_root).ours_is_better(
        "Consul sends the target \".\", which in SRV means that there is no such service, or no record where an address is not a name",
    ),
    row!(two_on_one_address_are_one_address_and_two_services),
    row!(two_instances_at_one_address_and_port_are_one),
    row!(a_deregistered_service_has_no_name),
    row!(answers_contain_only_requested_records)
        .ours_is_better("Consul adds the node's metadata as TXT records, which make HAProxy repeat its query and take half of the space"),
];

async fn register(target: &Target, service: Value) -> String {
    let mut service = service;
    let name = target.unique(service["Name"].as_str().unwrap());
    service["Name"] = json!(name);
    target.register(&service).await;
    format!("{name}.service.consul.")
}

async fn srv_has_port_weight_and_target(target: &Target) {
    let weights = json!({ "Passing": 7, "Warning": 2 });
    let name = register(
        target,
        json!({ "Name": "srv", "Address": "10.3.0.1", "Port": 541, "Weights": weights }),
    )
    .await;
    let answer = ask(target, &name, RecordType::SRV).await;
    assert_eq!(answers(&answer), [format!("{name} 0 SRV 1 7 541 0a030001.addr.dc1.consul.")]);
    let name = register(target, json!({ "Name": "bare", "Address": "10.3.0.2" })).await;
    let answer = ask(target, &name, RecordType::SRV).await;
    assert_eq!(data(&answer), ["1 1 0 0a030002.addr.dc1.consul."]);
}

/// The addresses in the additional section.
async fn addresses_with(target: &Target, name: &str) -> Vec<String> {
    let answer = ask(target, name, RecordType::SRV).await;
    let mut lines = answer.additionals();
    lines.retain(|line| !line.contains(" TXT "));
    lines.sort();
    lines
}

async fn srv_includes_the_addresses(target: &Target) {
    let name = register(target, json!({ "Name": "four", "Address": "10.3.1.1", "Port": 1 })).await;
    assert_eq!(addresses_with(target, &name).await, ["0a030101.addr.dc1.consul. 0 A 10.3.1.1"]);
    let name =
        register(target, json!({ "Name": "six", "Address": "2001:db8:3:1::1", "Port": 1 })).await;
    let expected = ["20010db8000300010000000000000001.addr.dc1.consul. 0 AAAA 2001:db8:3:1::1"];
    assert_eq!(addresses_with(target, &name).await, expected);
    let name = register(target, json!({ "Name": "node", "Port": 1 })).await;
    assert_eq!(addresses_with(target, &name).await, ["node1.node.dc1.consul. 0 A 127.0.0.1"]);
    let name =
        register(target, json!({ "Name": "host", "Address": "db.example", "Port": 1 })).await;
    assert!(addresses_with(target, &name).await.is_empty());
}

async fn the_weight_depends_on_the_status(target: &Target) {
    let check = |status| json!({ "TTL": "1h", "Status": status });
    for (status, weights, expected) in [
        ("passing", json!({ "Passing": 9, "Warning": 4 }), 9),
        ("warning", json!({ "Passing": 9, "Warning": 4 }), 4),
        ("warning", json!({ "Passing": 9 }), 0),
        ("warning", Value::Null, 1),
    ] {
        let service = json!({ "Name": "weight", "Address": "10.3.2.1", "Port": 1, "Weights": weights, "Check": check(status) });
        let name = register(target, service).await;
        let answer = ask(target, &name, RecordType::SRV).await;
        assert_eq!(data(&answer), [format!("1 {expected} 1 0a030201.addr.dc1.consul.")]);
    }
}

async fn warning_is_included_and_critical_is_excluded(target: &Target) {
    for status in ["passing", "warning", "critical"] {
        let checks =
            json!([{ "TTL": "1h", "Status": "passing" }, { "TTL": "1h", "Status": status }]);
        let name =
            register(target, json!({ "Name": status, "Address": "10.3.3.1", "Checks": checks }))
                .await;
        for kind in [RecordType::A, RecordType::SRV] {
            let answer = ask(target, &name, kind).await;
            if status == "critical" {
                is_no_name(&answer);
            } else {
                assert_eq!(answer.answers().len(), 1, "{status}");
            }
        }
    }
}

async fn maintenance_is_excluded(target: &Target) {
    let name = register(target, json!({ "Name": "upkeep", "Address": "10.3.4.1" })).await;
    let id = name.trim_end_matches(".service.consul.");
    for (enable, instances) in [("true", 0), ("false", 1)] {
        target.put(format!("/v1/agent/service/maintenance/{id}?enable={enable}")).await.is(200, "");
        target.settled(id).await;
        assert_eq!(ask(target, &name, RecordType::A).await.answers().len(), instances);
    }
}

async fn the_default_address_is_that_of_the_node(target: &Target) {
    let name = register(target, json!({ "Name": "bare", "Port": 99 })).await;
    let answer = ask(target, &name, RecordType::SRV).await;
    assert_eq!(data(&answer), ["1 1 99 node1.node.dc1.consul."]);
    assert_eq!(data(&ask(target, &name, RecordType::A).await), ["127.0.0.1"]);
    is_no_data(&ask(target, &name, RecordType::AAAA).await);
}

async fn a_host_name_is_a_target_and_an_alias(target: &Target) {
    for address in ["db.example", "db.example."] {
        let name = register(target, json!({ "Name": "host", "Address": address, "Port": 7 })).await;
        let answer = ask(target, &name, RecordType::SRV).await;
        assert_eq!(data(&answer), ["1 1 7 db.example."]);
        let answer = ask(target, &name, RecordType::A).await;
        assert_eq!(answers(&answer), [format!("{name} 0 CNAME db.example.")]);
    }
}

async fn a_host_name_of_consul_is_followed(target: &Target) {
    let behind =
        register(target, json!({ "Name": "behind", "Address": "10.3.5.1", "Port": 1 })).await;
    let name = register(target, json!({ "Name": "alias", "Address": behind, "Port": 7 })).await;
    let answer = ask(target, &name, RecordType::A).await;
    assert_eq!(
        answer.answers(),
        [format!("{name} 0 CNAME {behind}"), format!("{behind} 0 A 10.3.5.1")]
    );
    let answer = ask(target, &name, RecordType::SRV).await;
    assert_eq!(data(&answer), [format!("1 1 7 {behind}")]);
    assert_eq!(addresses_with(target, &name).await, [format!("{behind} 0 A 10.3.5.1")]);
}

async fn ipv6_addresses_are_aaaa(target: &Target) {
    let name =
        register(target, json!({ "Name": "six", "Address": "2001:db8:3:6::1", "Port": 7 })).await;
    let answer = ask(target, &name, RecordType::AAAA).await;
    assert_eq!(answers(&answer), [format!("{name} 0 AAAA 2001:db8:3:6::1")]);
    is_no_data(&ask(target, &name, RecordType::A).await);
    let answer = ask(target, &name, RecordType::SRV).await;
    assert_eq!(data(&answer), ["1 1 7 20010db8000300060000000000000001.addr.dc1.consul."]);
}

async fn ipv4_written_as_ipv6_is_ipv4(target: &Target) {
    let name =
        register(target, json!({ "Name": "mapped", "Address": "::ffff:10.3.6.1", "Port": 7 }))
            .await;
    assert_eq!(data(&ask(target, &name, RecordType::A).await), ["10.3.6.1"]);
    is_no_data(&ask(target, &name, RecordType::AAAA).await);
    let srv = data(&ask(target, &name, RecordType::SRV).await);
    assert_eq!(srv, ["1 1 7 0a030601.addr.dc1.consul."]);
    let expected = ["0a030601.addr.dc1.consul. 0 A 10.3.6.1"];
    assert_eq!(addresses_with(target, &name).await, expected);
}

async fn no_target_is_the_root(target: &Target) {
    let name = register(target, json!({ "Name": "root", "Address": ".", "Port": 7 })).await;
    let answer = ask(target, &name, RecordType::SRV).await;
    if target.is_real() {
        assert_eq!(data(&answer), ["1 1 7 ."]);
    } else {
        is_no_data(&answer);
    }
}

async fn families_do_not_mix(target: &Target) {
    let name = register(target, json!({ "Name": "mixed", "Address": "10.3.7.1" })).await;
    let service = name.trim_end_matches(".service.consul.");
    let six =
        json!({ "ID": format!("{service}-6"), "Name": service, "Address": "2001:db8:3:7::1" });
    target.register(&six).await;
    assert_eq!(data(&ask(target, &name, RecordType::A).await), ["10.3.7.1"]);
    assert_eq!(data(&ask(target, &name, RecordType::AAAA).await), ["2001:db8:3:7::1"]);
    assert_eq!(ask(target, &name, RecordType::SRV).await.answers().len(), 2);
}

async fn two_on_one_address_are_one_address_and_two_services(target: &Target) {
    let name = register(target, json!({ "Name": "two", "Address": "10.3.8.1", "Port": 1 })).await;
    let service = name.trim_end_matches(".service.consul.");
    let second =
        json!({ "ID": format!("{service}-2"), "Name": service, "Address": "10.3.8.1", "Port": 2 });
    target.register(&second).await;
    assert_eq!(data(&ask(target, &name, RecordType::A).await), ["10.3.8.1"]);
    let both = ["1 1 1 0a030801.addr.dc1.consul.", "1 1 2 0a030801.addr.dc1.consul."];
    assert_eq!(data(&ask(target, &name, RecordType::SRV).await), both);
}

/// As after a crash and a restart under another id.
async fn two_instances_at_one_address_and_port_are_one(target: &Target) {
    let name = register(target, json!({ "Name": "once", "Address": "10.3.11.1", "Port": 1 })).await;
    let service = name.trim_end_matches(".service.consul.");
    let again = json!({ "ID": format!("{service}-2"), "Name": service, "Address": "10.3.11.1",
                        "Port": 1, "Weights": { "Passing": 2 } });
    target.register(&again).await;
    assert_eq!(ask(target, &name, RecordType::SRV).await.answers().len(), 1);
}

async fn a_deregistered_service_has_no_name(target: &Target) {
    let name = register(target, json!({ "Name": "gone", "Address": "10.3.9.1" })).await;
    assert_eq!(ask(target, &name, RecordType::A).await.answers().len(), 1);
    target.deregister(name.trim_end_matches(".service.consul.")).await;
    is_no_name(&ask(target, &name, RecordType::A).await);
}

async fn answers_contain_only_requested_records(target: &Target) {
    let name = register(target, json!({ "Name": "lean", "Address": "10.3.10.1", "Port": 1 })).await;
    for (name, kind) in [(name.as_str(), RecordType::SRV), ("node1.node.consul", RecordType::A)] {
        let additionals = ask(target, name, kind).await.additionals();
        let texts = additionals.iter().filter(|line| line.contains(" TXT ")).count();
        assert_eq!(texts, usize::from(target.is_real()), "{additionals:?}");
    }
}
