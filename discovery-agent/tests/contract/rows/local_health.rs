//! `/v1/agent/health/service/id|name/...`: queried by a load balancer at the agent of an instance.

use serde_json::{Value, json};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(the_status_code_shows_the_status_of_an_instance),
    row!(the_body_lists_its_checks),
    row!(a_name_has_the_status_of_its_worst_instance),
    row!(unknown_services_are_not_found),
    row!(without_an_id_or_name_it_is_an_error),
];

async fn registered(target: &Target, name: &str, id: &str, status: &str) {
    let check = json!({ "TTL": "1h", "Status": status });
    target.register(&json!({ "ID": id, "Name": name, "Check": check })).await;
}

async fn the_status_code_shows_the_status_of_an_instance(target: &Target) {
    let cases = [("passing", 200), ("warning", 429), ("critical", 503), ("maintenance", 503)];
    for (status, code) in cases {
        let name = target.unique(status);
        if status == "maintenance" {
            registered(target, &name, &name, "passing").await;
            target
                .put(format!("/v1/agent/service/maintenance/{name}?enable=true"))
                .await
                .is(200, "");
        } else {
            registered(target, &name, &name, status).await;
        }
        for path in [format!("id/{name}"), format!("name/{name}")] {
            let json = target.get(format!("/v1/agent/health/service/{path}")).await;
            assert_eq!(json.status.as_u16(), code, "{path}");
            assert_eq!(json.header("x-consul-reason"), Some(status));
            assert_eq!(json.header("content-type"), Some("application/json"));
            let text = target.get(format!("/v1/agent/health/service/{path}?format=text")).await;
            text.is(code, status);
            assert_eq!(text.header("x-consul-reason"), Some(status));
            assert_eq!(text.header("content-type"), Some("text/plain"));
        }
    }
    let name = target.unique("checkless");
    target.register(&json!({ "Name": name })).await;
    target.get(format!("/v1/agent/health/service/id/{name}?format=text")).await.is(200, "passing");
}

async fn the_body_lists_its_checks(target: &Target) {
    let name = target.unique("checks");
    registered(target, &name, &name, "warning").await;
    let answer = target.get(format!("/v1/agent/health/service/id/{name}")).await.json();
    assert_eq!(
        (&answer["AggregatedStatus"], &answer["Service"]["ID"]),
        (&json!("warning"), &json!(name))
    );
    let check = &answer["Checks"][0];
    assert_eq!(check["CheckID"], format!("service:{name}"));
    assert_eq!((&check["Status"], &check["ServiceID"]), (&json!("warning"), &json!(name)));
    let listed = target.get(format!("/v1/agent/health/service/name/{name}")).await.json();
    like(&listed, &json!([answer]));
}

async fn a_name_has_the_status_of_its_worst_instance(target: &Target) {
    let name = target.unique("worst");
    let cases = [("passing", 200), ("warning", 429), ("critical", 503)];
    for (at, (status, code)) in cases.into_iter().enumerate() {
        registered(target, &name, &format!("{name}-{status}"), status).await;
        let path = format!("/v1/agent/health/service/name/{name}");
        let answer = target.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-consul-reason")),
            (code, Some(status))
        );
        assert_eq!(answer.json().as_array().map(Vec::len), Some(at + 1));
        target.get(format!("{path}?format=text")).await.is(code, status);
    }
}

async fn unknown_services_are_not_found(target: &Target) {
    let id = target.get("/v1/agent/health/service/id/stranger").await;
    assert_eq!(
        (id.status.as_u16(), id.header("x-consul-reason")),
        (404, Some("ServiceId stranger not found"))
    );
    like(&id.json(), &json!({ "AggregatedStatus": "critical", "Service": null, "Checks": null }));
    let name = target.get("/v1/agent/health/service/name/stranger").await;
    assert_eq!(
        (name.status.as_u16(), name.header("x-consul-reason")),
        (404, Some("ServiceName stranger Not Found"))
    );
    like(&name.json(), &Value::Array(vec![]));
}

async fn without_an_id_or_name_it_is_an_error(target: &Target) {
    target.get("/v1/agent/health/service/id/").await.is(500, "Bad request: Missing serviceID");
    target.get("/v1/agent/health/service/name/").await.is(500, "Bad request: Missing service Name");
}
