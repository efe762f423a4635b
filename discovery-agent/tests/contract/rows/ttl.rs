//! TTL checks: heartbeats, and their absence.

use serde_json::json;
use testkit::http::Request;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(pass_warn_and_fail_set_status_and_note),
    row!(update_sets_status_and_output),
    row!(an_update_must_have_a_status),
    row!(heartbeats_of_unknown_checks_are_errors),
    row!(heartbeats_of_deregistered_checks_are_errors),
    row!(other_kinds_of_checks_accept_no_heartbeats),
    row!(a_check_expires_without_a_heartbeat),
    row!(an_expired_check_shows_its_last_output),
    row!(a_heartbeat_restores_an_expired_check),
    row!(a_heartbeat_extends_the_ttl),
    row!(a_passing_check_expires_from_its_registration),
    row!(an_identical_registration_does_not_restore_an_expired_check),
    row!(a_ttl_without_unit_is_in_nanoseconds),
    row!(a_new_ttl_counts_from_its_registration),
    row!(output_is_truncated_to_4096_bytes),
    row!(output_is_truncated_to_its_own_lower_limit),
];

async fn registered(target: &Target, name: &str, ttl: &str) -> (String, String) {
    let name = target.unique(name);
    target.register(&json!({ "Name": name, "Check": { "TTL": ttl } })).await;
    let check = format!("service:{name}");
    (name, check)
}

fn shows(status: &str, output: &str) -> (String, String) {
    (status.to_owned(), output.to_owned())
}

async fn pass_warn_and_fail_set_status_and_note(target: &Target) {
    let (name, check) = registered(target, "action", "1h").await;
    let cases =
        [("pass", "passing"), ("warn", "warning"), ("fail", "critical"), ("pass", "passing")];
    for (action, status) in cases {
        target
            .put(format!("/v1/agent/check/{action}/{check}?note=as%20{action}"))
            .await
            .is(200, "");
        assert_eq!(target.status(&check).await, shows(status, &format!("as {action}")));
        target.put(format!("/v1/agent/check/{action}/{check}")).await.is(200, "");
        assert_eq!(target.status(&check).await, shows(status, ""), "a missing note is empty");
        target.settled(&name).await;
    }
}

async fn update_sets_status_and_output(target: &Target) {
    let (name, check) = registered(target, "update", "1h").await;
    let path = format!("/v1/agent/check/update/{check}");
    for status in ["passing", "warning", "critical"] {
        let update = json!({ "Status": status, "Output": format!("it is {status}") });
        target.put_json(&path, &update).await.is(200, "");
        assert_eq!(target.status(&check).await, shows(status, &format!("it is {status}")));
        target.settled(&name).await;
    }
    target.put_json(&path, &json!({ "status": "passing" })).await.is(200, "");
    assert_eq!(target.status(&check).await, shows("passing", ""));
}

async fn an_update_must_have_a_status(target: &Target) {
    let (_, check) = registered(target, "words", "1h").await;
    let cases = [
        ("{\"Status\":\"good\"}", "Invalid check status: 'good'"),
        ("{}", "Invalid check status: ''"),
        ("", "Request decode failed: EOF"),
        ("{\"Status\":\"passing\",\"x\":1}", "Request decode failed: json: unknown field \"x\""),
    ];
    for (body, text) in cases {
        let request = Request::put(format!("/v1/agent/check/update/{check}")).body(body);
        target.ask(request).await.is(400, text);
    }
}

/// Later versions answer 404; clients accept either.
async fn heartbeats_of_unknown_checks_are_errors(target: &Target) {
    let text = "CheckID \"nobody\" does not have associated TTL";
    for action in ["pass", "warn", "fail"] {
        target.put(format!("/v1/agent/check/{action}/nobody")).await.is(500, text);
    }
    target
        .put_json("/v1/agent/check/update/nobody", &json!({ "Status": "passing" }))
        .await
        .is(500, text);
    target.put("/v1/agent/check/pass/").await.is(500, "CheckID \"\" does not have associated TTL");
}

async fn heartbeats_of_deregistered_checks_are_errors(target: &Target) {
    let (name, check) = registered(target, "gone", "1h").await;
    let (other, its_check) = registered(target, "gone", "1h").await;
    target.put(format!("/v1/agent/check/deregister/{check}")).await.is(200, "");
    target.put(format!("/v1/agent/service/deregister/{other}")).await.is(200, "");
    for check in [check, its_check] {
        let text = format!("CheckID \"{check}\" does not have associated TTL");
        target.put(format!("/v1/agent/check/pass/{check}")).await.is(500, &text);
    }
    target.settled(&name).await;
}

async fn other_kinds_of_checks_accept_no_heartbeats(target: &Target) {
    let name = target.unique("run");
    let check = json!({ "TCP": "127.0.0.1:1", "Interval": "1h" });
    target.register(&json!({ "Name": name, "Check": check })).await;
    for check in ["serfHealth", &format!("service:{name}")] {
        let text = format!("CheckID \"{check}\" does not have associated TTL");
        target.put(format!("/v1/agent/check/pass/{check}")).await.is(500, &text);
    }
}

async fn a_check_expires_without_a_heartbeat(target: &Target) {
    let (name, check) = registered(target, "silent", "50ms").await;
    target
        .until("expired", || async {
            target.status(&check).await == shows("critical", "TTL expired")
        })
        .await;
    target.settled(&name).await;
}

async fn an_expired_check_shows_its_last_output(target: &Target) {
    let (name, check) = registered(target, "last", "100ms").await;
    target.put(format!("/v1/agent/check/pass/{check}?note=so%20far")).await.is(200, "");
    let output = "TTL expired (last output before timeout follows): so far";
    target
        .until("expired", || async { target.status(&check).await == shows("critical", output) })
        .await;
    target.settled(&name).await;
    assert!(target.instances(&format!("{name}?passing")).await.is_empty());
}

async fn a_heartbeat_restores_an_expired_check(target: &Target) {
    let (_, check) = registered(target, "revived", "1s").await;
    target.until("expired", || async { target.status(&check).await.1 == "TTL expired" }).await;
    // On a slow machine it may expire again before it is read.
    target
        .until("passing again", || async {
            target.put(format!("/v1/agent/check/pass/{check}")).await.is(200, "");
            target.status(&check).await.0 == "passing"
        })
        .await;
}

async fn a_heartbeat_extends_the_ttl(target: &Target) {
    let (_, check) = registered(target, "beating", "3s").await;
    for _ in 0..40 {
        target.put(format!("/v1/agent/check/pass/{check}")).await.is(200, "");
        assert_eq!(target.status(&check).await.0, "passing");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn a_passing_check_expires_from_its_registration(target: &Target) {
    let name = target.unique("unbeaten");
    target
        .register(&json!({ "Name": name, "Check": { "TTL": "50ms", "Status": "passing" } }))
        .await;
    let check = format!("service:{name}");
    target
        .until("expired", || async {
            target.status(&check).await == shows("critical", "TTL expired")
        })
        .await;
}

async fn an_identical_registration_does_not_restore_an_expired_check(target: &Target) {
    let name = target.unique("stays");
    let service = json!({ "Name": name, "Check": { "TTL": "50ms", "Status": "passing" } });
    target.register(&service).await;
    let check = format!("service:{name}");
    target.until("expired", || async { target.status(&check).await.0 == "critical" }).await;
    target.put_json("/v1/agent/service/register", &service).await.is(200, "");
    assert_eq!(target.status(&check).await.0, "critical");
}

async fn a_ttl_without_unit_is_in_nanoseconds(target: &Target) {
    let name = target.unique("nanoseconds");
    target.register(&json!({ "Name": name, "Check": { "TTL": 50_000_000 } })).await;
    let check = format!("service:{name}");
    target.until("expired", || async { target.status(&check).await.1 == "TTL expired" }).await;
}

async fn a_new_ttl_counts_from_its_registration(target: &Target) {
    let (name, check) = registered(target, "shorter", "1h").await;
    target.put(format!("/v1/agent/check/pass/{check}")).await.is(200, "");
    target.register(&json!({ "Name": name, "Check": { "TTL": "50ms" } })).await;
    target.until("expired", || async { target.status(&check).await.0 == "critical" }).await;
}

async fn output_is_truncated_to_4096_bytes(target: &Target) {
    let (_, check) = registered(target, "long", "1h").await;
    let kept = "x".repeat(4096);
    for (length, expected) in
        [(4096, kept.clone()), (5000, format!("{kept} ... (captured 4096 of 5000 bytes)"))]
    {
        let long = "x".repeat(length);
        let update = json!({ "Status": "passing", "Output": long });
        target.put_json(format!("/v1/agent/check/update/{check}"), &update).await.is(200, "");
        assert_eq!(target.status(&check).await.1, expected);
        target.put(format!("/v1/agent/check/pass/{check}?note={long}")).await.is(200, "");
        assert_eq!(target.status(&check).await.1, expected);
    }
}

async fn output_is_truncated_to_its_own_lower_limit(target: &Target) {
    let limits = [(0, 4096), (10, 10), (4096, 4096), (5_000_000, 4096)];
    for (asked, limit) in limits {
        let name = target.unique("limited");
        let check = json!({ "TTL": "1h", "OutputMaxSize": asked });
        target.register(&json!({ "Name": name, "Check": check })).await;
        let check = format!("service:{name}");
        let update = json!({ "Status": "passing", "Output": "x".repeat(5000) });
        target.put_json(format!("/v1/agent/check/update/{check}"), &update).await.is(200, "");
        let expected = format!("{} ... (captured {limit} of 5000 bytes)", "x".repeat(limit));
        assert_eq!(target.status(&check).await.1, expected, "{asked}");
    }
}
