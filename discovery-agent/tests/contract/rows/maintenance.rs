//! Maintenance: of one service, and of the whole node.

use serde_json::{Value, json};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, NODE, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_service_in_maintenance_has_a_critical_check_with_the_reason),
    row!(there_is_a_default_reason),
    row!(a_second_reason_does_not_replace_the_first),
    row!(maintenance_can_be_ended_twice),
    row!(maintenance_survives_a_new_registration),
    row!(maintenance_ends_with_the_service),
    row!(maintenance_is_refused_with_the_reason),
    row!(a_node_in_maintenance_includes_its_services).alone(),
];

const NO_REASON: &str = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.";
const NO_REASON_FOR_NODE: &str = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.";

async fn maintain(target: &Target, id: &str, query: &str) {
    target.put(format!("/v1/agent/service/maintenance/{id}?{query}")).await.is(200, "");
    target.settled(id).await;
}

async fn a_service_in_maintenance_has_a_critical_check_with_the_reason(target: &Target) {
    let name = target.unique("upkeep");
    target
        .register(
            &json!({ "Name": name, "Tags": ["t"], "Check": { "TTL": "1h", "Status": "passing" } }),
        )
        .await;
    maintain(target, &name, "enable=true&reason=a%20new%20disk").await;
    let id = format!("_service_maintenance:{name}");
    let mut expected = json!({
        "Node": NODE,
        "CheckID": id,
        "Name": "Service Maintenance Mode",
        "Status": "critical",
        "Notes": "a new disk",
        "Output": "",
        "ServiceID": name,
        "ServiceName": name,
        "ServiceTags": ["t"],
        "Type": "maintenance",
        "Definition": {},
        "CreateIndex": 0,
        "ModifyIndex": 0,
    });
    like(&target.check(&id).await, &expected);
    expected["CreateIndex"] = json!("<index>");
    expected["ModifyIndex"] = json!("<index>");
    let checks = target.get(format!("/v1/health/checks/{name}")).await.ok();
    let in_catalog =
        checks.as_array().unwrap().iter().find(|check| check["CheckID"] == id.as_str());
    like(in_catalog.unwrap_or(&Value::Null), &expected);
    assert!(target.instances(&format!("{name}?passing")).await.is_empty());
    maintain(target, &name, "enable=false").await;
    assert_eq!(target.check(&id).await, Value::Null);
    assert_eq!(target.instances(&format!("{name}?passing")).await, [name.as_str()]);
}

async fn there_is_a_default_reason(target: &Target) {
    let name = target.unique("reasonless");
    target.register(&json!({ "Name": name })).await;
    for enable in ["enable=true", "enable=1&reason="] {
        maintain(target, &name, enable).await;
        assert_eq!(target.check(&format!("_service_maintenance:{name}")).await["Notes"], NO_REASON);
        maintain(target, &name, "enable=0").await;
    }
}

async fn a_second_reason_does_not_replace_the_first(target: &Target) {
    let name = target.unique("reasons");
    target.register(&json!({ "Name": name })).await;
    maintain(target, &name, "enable=true&reason=first").await;
    maintain(target, &name, "enable=true&reason=second").await;
    assert_eq!(target.check(&format!("_service_maintenance:{name}")).await["Notes"], "first");
}

async fn maintenance_can_be_ended_twice(target: &Target) {
    let name = target.unique("well");
    target.register(&json!({ "Name": name })).await;
    maintain(target, &name, "enable=false").await;
    maintain(target, &name, "enable=false").await;
}

async fn maintenance_survives_a_new_registration(target: &Target) {
    let name = target.unique("outlives");
    let service = json!({ "Name": name, "Check": { "TTL": "1h" } });
    target.register(&service).await;
    maintain(target, &name, "enable=true").await;
    target.register(&service).await;
    assert_eq!(target.check(&format!("_service_maintenance:{name}")).await["Status"], "critical");
    // Except one that replaces all checks.
    let replacing = "/v1/agent/service/register?replace-existing-checks=true";
    target.put_json(replacing, &service).await.is(200, "");
    assert_eq!(target.check(&format!("_service_maintenance:{name}")).await, Value::Null);
}

async fn maintenance_ends_with_the_service(target: &Target) {
    let name = target.unique("ends");
    target.register(&json!({ "Name": name })).await;
    maintain(target, &name, "enable=true").await;
    target.deregister(&name).await;
    target.register(&json!({ "Name": name })).await;
    assert_eq!(target.check(&format!("_service_maintenance:{name}")).await, Value::Null);
}

async fn maintenance_is_refused_with_the_reason(target: &Target) {
    let name = target.unique("refused");
    target.register(&json!({ "Name": name })).await;
    let service = "/v1/agent/service/maintenance";
    let cases = [
        (format!("{service}/nobody?enable=true"), 404, "No service registered with ID \"nobody\""),
        (format!("{service}/consul?enable=true"), 404, "No service registered with ID \"consul\""),
        (format!("{service}/{name}"), 400, "Missing value for enable"),
        (format!("{service}/{name}?enable="), 400, "Invalid value for enable: \"\""),
        (format!("{service}/{name}?enable=maybe"), 400, "Invalid value for enable: \"maybe\""),
        (format!("{service}/?enable=true"), 400, "Missing service ID"),
        ("/v1/agent/maintenance".to_owned(), 400, "Missing value for enable"),
        (
            "/v1/agent/maintenance?enable=maybe".to_owned(),
            400,
            "Invalid value for enable: \"maybe\"",
        ),
    ];
    for (path, status, text) in cases {
        let answer = target.put(&path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, text), "{path}");
    }
}

async fn a_node_in_maintenance_includes_its_services(target: &Target) {
    target.register(&json!({ "Name": "web" })).await;
    target.put("/v1/agent/maintenance?enable=true").await.is(200, "");
    target
        .until("web is not passing", || async { target.instances("web?passing").await.is_empty() })
        .await;
    let checks = target.get(format!("/v1/health/node/{NODE}")).await.ok();
    let check =
        checks.as_array().unwrap().iter().find(|check| check["CheckID"] == "_node_maintenance");
    like(
        check.unwrap_or(&Value::Null),
        &json!({
            "Node": NODE,
            "CheckID": "_node_maintenance",
            "Name": "Node Maintenance Mode",
            "Status": "critical",
            "Notes": NO_REASON_FOR_NODE,
            "Output": "",
            "ServiceID": "",
            "ServiceName": "",
            "ServiceTags": [],
            "Type": "maintenance",
            "Definition": {},
            "CreateIndex": "<index>",
            "ModifyIndex": "<index>",
        }),
    );
    let health = target.get("/v1/agent/health/service/id/web?format=text").await;
    assert_eq!((health.status.as_u16(), health.text()), (503, "maintenance"));
    target.put("/v1/agent/maintenance?enable=false").await.is(200, "");
    target
        .until("web is passing", || async { target.instances("web?passing").await == ["web"] })
        .await;
}
