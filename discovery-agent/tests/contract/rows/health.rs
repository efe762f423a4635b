//! `/v1/health/...`: services, checks, nodes and states.

use serde_json::{Value, json};

use super::catalog::{node, service};
use crate::{
    table::{Row, row},
    target::{AnswerExt as _, NODE, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_service_lists_instances_with_node_and_checks),
    row!(a_service_is_found_whatever_the_case_of_its_letters),
    row!(instances_are_sorted_by_id),
    row!(passing_selects_instances_without_warning_or_critical_check),
    row!(passing_has_several_spellings),
    row!(a_service_can_be_filtered_by_tags),
    row!(the_checks_of_a_service_are_listed),
    row!(a_nodes_checks_are_listed).alone(),
    row!(checks_are_listed_by_state).alone(),
    row!(unknown_nodes_and_states_are_empty),
];

fn check(id: &str, service: &str, status: &str) -> Value {
    json!({
        "Node": NODE,
        "CheckID": id,
        "Name": format!("Service '{service}' check"),
        "Status": status,
        "Notes": "",
        "Output": "",
        "ServiceID": service,
        "ServiceName": service,
        "ServiceTags": [],
        "Type": "ttl",
        "Definition": {},
        "CreateIndex": "<index>",
        "ModifyIndex": "<index>",
    })
}

fn serf_health() -> Value {
    json!({
        "Node": NODE,
        "CheckID": "serfHealth",
        "Name": "Serf Health Status",
        "Status": "passing",
        "Notes": "",
        "Output": "Agent alive and reachable",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "",
        "Definition": {},
        "CreateIndex": "<index>",
        "ModifyIndex": "<index>",
    })
}

async fn a_service_lists_instances_with_node_and_checks(target: &Target) {
    let name = target.unique("entry");
    let checks = json!([{ "TTL": "1h", "Status": "passing" }, { "TTL": "1h" }]);
    target.register(&json!({ "Name": name, "Port": 80, "Checks": checks })).await;
    let (first, second) = (format!("service:{name}:1"), format!("service:{name}:2"));
    target.get(format!("/v1/health/service/{name}")).await.is_like(&json!([{
        "Node": node(),
        "Service": service(&name, &name, 80),
        "Checks": [
            serf_health(),
            check(&first, &name, "passing"),
            check(&second, &name, "critical"),
        ],
    }]));
}

async fn instances_are_sorted_by_id(target: &Target) {
    let name = target.unique("order");
    for id in ["b", "a", "c"] {
        target.register(&json!({ "ID": format!("{name}-{id}"), "Name": name })).await;
    }
    let expected = ["a", "b", "c"].map(|id| format!("{name}-{id}"));
    assert_eq!(target.instances(&name).await, expected);
}

async fn passing_selects_instances_without_warning_or_critical_check(target: &Target) {
    let name = target.unique("filter");
    for status in ["passing", "warning", "critical"] {
        let checks =
            json!([{ "TTL": "1h", "Status": "passing" }, { "TTL": "1h", "Status": status }]);
        let id = format!("{name}-{status}");
        target.register(&json!({ "ID": id, "Name": name, "Checks": checks })).await;
    }
    target.register(&json!({ "ID": format!("{name}-checkless"), "Name": name })).await;
    let passing = ["checkless", "passing"].map(|id| format!("{name}-{id}"));
    assert_eq!(target.instances(&format!("{name}?passing")).await, passing);
    assert_eq!(target.instances(&name).await.len(), 4);
}

async fn a_service_is_found_whatever_the_case_of_its_letters(target: &Target) {
    let name = format!("{}-Web", target.unique("case"));
    target.register(&json!({ "Name": name })).await;
    for asked in [name.to_lowercase(), name.to_uppercase(), name.clone()] {
        let answer = target.get(format!("/v1/health/service/{asked}")).await;
        assert_eq!(answer.json()[0]["Service"]["Service"], name, "{asked}");
    }
}

async fn passing_has_several_spellings(target: &Target) {
    let name = target.unique("ways");
    target.register(&json!({ "Name": name, "Check": { "TTL": "1h" } })).await;
    let cases = [
        ("passing", 0),
        ("passing=", 0),
        ("passing=1", 0),
        ("passing=true", 0),
        ("passing=T", 0),
        ("passing=0", 1),
        ("passing=false", 1),
        ("", 1),
    ];
    for (query, instances) in cases {
        let found = target.instances(&format!("{name}?{query}")).await;
        assert_eq!(found.len(), instances, "{query}");
    }
    let bad = target.get(format!("/v1/health/service/{name}?passing=foo")).await;
    bad.is(400, "Invalid value for ?passing");
}

async fn a_service_can_be_filtered_by_tags(target: &Target) {
    let name = target.unique("tags");
    for (id, tags) in [("a", json!(["x"])), ("b", json!(["x", "Y"])), ("c", json!([]))] {
        target.register(&json!({ "ID": format!("{name}-{id}"), "Name": name, "Tags": tags })).await;
    }
    let cases =
        [("tag=x", "ab"), ("tag=x&tag=y", "b"), ("tag=none", ""), ("tag=X", "ab"), ("tag=", "")];
    for (query, expected) in cases {
        let ids = target.instances(&format!("{name}?{query}")).await;
        let last: String = ids.iter().filter_map(|id| id.chars().last()).collect();
        assert_eq!(last, expected, "{query}");
    }
}

async fn the_checks_of_a_service_are_listed(target: &Target) {
    let name = target.unique("checks");
    target.register(&json!({ "Name": name, "Check": { "TTL": "1h", "Status": "warning" } })).await;
    let id = format!("service:{name}");
    let expected = json!([check(&id, &name, "warning")]);
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&expected);
}

async fn a_nodes_checks_are_listed(target: &Target) {
    target.get("/v1/health/node/node1").await.is_like(&json!([serf_health()]));
    target.register(&json!({ "Name": "web", "Check": { "TTL": "1h" } })).await;
    let both = json!([serf_health(), check("service:web", "web", "critical")]);
    target.get("/v1/health/node/node1").await.is_like(&both);
}

async fn checks_are_listed_by_state(target: &Target) {
    for status in ["passing", "warning", "critical"] {
        let service = json!({ "Name": status, "Check": { "TTL": "1h", "Status": status } });
        target.register(&service).await;
    }
    let of = |status: &str| check(&format!("service:{status}"), status, status);
    let cases = [
        ("any", json!([serf_health(), of("critical"), of("passing"), of("warning")])),
        ("passing", json!([serf_health(), of("passing")])),
        ("warning", json!([of("warning")])),
        ("critical", json!([of("critical")])),
    ];
    for (state, expected) in cases {
        target.get(format!("/v1/health/state/{state}")).await.is_like(&expected);
    }
}

async fn unknown_nodes_and_states_are_empty(target: &Target) {
    for path in ["node/stranger", "state/confused"] {
        target.get(format!("/v1/health/{path}")).await.is_like(&json!([]));
    }
}
