//! Blocking queries: the changes that wake them, and those that do not.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target, ids},
};

pub(crate) const ROWS: &[Row] = &[
    row!(the_current_index_waits_until_the_wait_ends).alone(),
    row!(a_future_index_waits_and_returns_the_current_one).alone(),
    row!(an_older_index_is_answered_immediately),
    row!(index_zero_or_none_is_answered_immediately),
    row!(indexes_grow_with_every_change),
    row!(a_registration_wakes_queries_for_its_service),
    row!(deregistration_wakes_queries_for_the_service),
    row!(a_changed_status_wakes_queries_for_the_service),
    row!(a_changed_service_wakes_queries_for_it),
    row!(passing_queries_are_woken_by_status),
    row!(tag_queries_are_woken_by_their_service),
    // Consul sometimes wakes these for checks of other services too.
    row!(checks_are_woken_by_status).alone(),
    row!(maintenance_wakes_queries_for_the_service),
    row!(an_expired_ttl_wakes_queries_for_the_service),
    row!(an_identical_registration_wakes_no_query),
    row!(heartbeats_that_change_nothing_wake_no_query),
    row!(another_service_wakes_no_query),
    row!(a_query_for_an_unknown_service_waits).alone(),
    row!(removal_of_the_last_instance_wakes_and_the_next_query_waits).alone(),
    row!(the_list_of_services_is_woken_by_services_not_by_status).alone(),
    row!(the_node_list_is_not_woken_by_services).alone(),
    row!(a_node_is_woken_by_its_services).alone(),
    row!(states_are_woken_by_status).alone(),
];

/// The index for the next blocking query.
async fn index_of(target: &Target, path: &str) -> u64 {
    target.get(format!("/v1/{path}")).await.index()
}

/// An index at which the instance is passing: on a slow machine a short TTL may expire before the query.
async fn passing_index_of(target: &Target, id: &str, path: &str) -> u64 {
    loop {
        target.put(format!("/v1/agent/check/pass/service:{id}")).await.is(200, "");
        let answer_body = target.get(format!("/v1/{path}")).await;
        if answer_body.ok()[0]["Checks"][1]["Status"] == "passing" {
            return answer_body.index();
        }
    }
}

fn waiting(path: &str, index: u64) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("/v1/{path}{joint}index={index}&wait=1m")
}

/// Asserts that a query of this path waits until this is done, and is then woken with a higher index. Returns its answer.
async fn woken_by(
    target: &Target,
    path: &str,
    done: impl Future<Output = ()>,
) -> serde_json::Value {
    let index = index_of(target, path).await;
    let mut pending = target.pending(&waiting(path, index));
    pending.stays_pending().await;
    done.await;
    let answer = pending.woken().await;
    assert!(answer.index() > index, "{path}: {} after {index}", answer.index());
    answer.ok()
}

/// Asserts that this does not wake a query of this path.
async fn not_woken_by(target: &Target, path: &str, done: impl Future<Output = ()>) {
    let index = index_of(target, path).await;
    let mut pending = target.pending(&waiting(path, index));
    pending.stays_pending().await;
    done.await;
    pending.stays_pending().await;
    assert_eq!(index_of(target, path).await, index, "{path}");
}

async fn register(target: &Target, id: &str, name: &str) {
    let check = json!({ "TTL": "1h", "Status": "passing" });
    target.register(&json!({ "ID": id, "Name": name, "Port": 1, "Check": check })).await;
}

async fn heartbeat(target: &Target, id: &str, heartbeat: &str) {
    target.put(format!("/v1/agent/check/{heartbeat}/service:{id}")).await.is(200, "");
    target.settled(id).await;
}

/// The wait, and up to a sixteenth more, so that queries that started together do not end together.
async fn the_current_index_waits_until_the_wait_ends(target: &Target) {
    register(target, "web", "web").await;
    for path in ["health/service/web", "catalog/services", "health/state/any"] {
        let index = index_of(target, path).await;
        let asked_at = Instant::now();
        let answer = target.get(format!("/v1/{path}?index={index}&wait=1600ms")).await;
        let waited = asked_at.elapsed();
        assert_eq!((answer.status.as_u16(), answer.index()), (200, index), "{path}");
        // There is no upper bound: a busy machine may answer late, and the request has its own time limit.
        assert!(waited >= Duration::from_millis(1600), "{path}: {waited:?}");
    }
}

async fn a_future_index_waits_and_returns_the_current_one(target: &Target) {
    register(target, "web", "web").await;
    let index = index_of(target, "health/service/web").await;
    let asked_at = Instant::now();
    let future = index + 1_000_000;
    let answer = target.get(format!("/v1/health/service/web?index={future}&wait=1s")).await;
    assert!(asked_at.elapsed() >= Duration::from_secs(1));
    assert_eq!((answer.status.as_u16(), answer.index()), (200, index));
}

async fn an_older_index_is_answered_immediately(target: &Target) {
    let name = target.unique("older");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    let index = index_of(target, &path).await;
    let answer = target.pending(&waiting(&path, index - 1)).woken().await;
    assert_eq!((answer.index(), ids(&answer.ok())), (index, vec![name]));
}

async fn index_zero_or_none_is_answered_immediately(target: &Target) {
    let name = target.unique("zero");
    register(target, &name, &name).await;
    for query in ["index=0&wait=1m", "index=1&wait=1m", "wait=1m", "index=&wait=1m"] {
        let path = format!("/v1/health/service/{name}?{query}");
        target.pending(&path).woken().await.ok();
    }
}

async fn indexes_grow_with_every_change(target: &Target) {
    let name = target.unique("grow");
    let path = format!("health/service/{name}");
    let mut last = 0;
    for step in 0..5 {
        target.register(&json!({ "Name": name, "Port": step })).await;
        let entries = target.get(format!("/v1/{path}")).await;
        assert!(entries.index() > last);
        last = entries.index();
        let service = &entries.ok()[0]["Service"];
        assert!(service["ModifyIndex"].as_u64().unwrap() <= last);
        assert!(service["CreateIndex"].as_u64() <= service["ModifyIndex"].as_u64());
    }
}

async fn a_registration_wakes_queries_for_its_service(target: &Target) {
    let name = target.unique("join");
    register(target, &name, &name).await;
    let second = format!("{name}-2");
    let path = format!("health/service/{name}");
    let answer_body = woken_by(target, &path, register(target, &second, &name)).await;
    assert_eq!(ids(&answer_body), [name.clone(), second]);
    let path = format!("catalog/service/{name}");
    woken_by(target, &path, register(target, &format!("{name}-3"), &name)).await;
}

async fn deregistration_wakes_queries_for_the_service(target: &Target) {
    let name = target.unique("leave");
    let second = format!("{name}-2");
    register(target, &name, &name).await;
    register(target, &second, &name).await;
    let path = format!("health/service/{name}");
    let answer_body = woken_by(target, &path, target.deregister(&name)).await;
    assert_eq!(ids(&answer_body), [second]);
}

async fn a_changed_status_wakes_queries_for_the_service(target: &Target) {
    let name = target.unique("flip");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    for (word, status) in [("warn", "warning"), ("fail", "critical"), ("pass", "passing")] {
        let answer_body = woken_by(target, &path, heartbeat(target, &name, word)).await;
        assert_eq!(answer_body[0]["Checks"][1]["Status"], status);
    }
}

async fn a_changed_service_wakes_queries_for_it(target: &Target) {
    let name = target.unique("moved");
    target.register(&json!({ "Name": name, "Port": 1 })).await;
    let path = format!("health/service/{name}");
    let changes = [
        json!({ "Name": name, "Port": 2 }),
        json!({ "Name": name, "Port": 2, "Tags": ["t"] }),
        json!({ "Name": name, "Port": 2, "Tags": ["t"], "Meta": { "k": "v" } }),
        json!({ "Name": name, "Port": 2, "Weights": { "Passing": 2, "Warning": 2 } }),
    ];
    for change in &changes {
        woken_by(target, &path, target.register(change)).await;
    }
}

/// Also where the answer stays empty: the index is that of the service.
async fn passing_queries_are_woken_by_status(target: &Target) {
    let name = target.unique("onlypassing");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}?passing");
    let answer_body = woken_by(target, &path, heartbeat(target, &name, "fail")).await;
    assert!(ids(&answer_body).is_empty());
    let answer_body = woken_by(target, &path, heartbeat(target, &name, "warn")).await;
    assert!(ids(&answer_body).is_empty());
    let answer_body = woken_by(target, &path, heartbeat(target, &name, "pass")).await;
    assert_eq!(ids(&answer_body), [name]);
}

async fn tag_queries_are_woken_by_their_service(target: &Target) {
    let name = target.unique("bytag");
    target.register(&json!({ "ID": format!("{name}-a"), "Name": name, "Tags": ["a"] })).await;
    let other = json!({ "ID": format!("{name}-b"), "Name": name, "Tags": ["b"] });
    let path = format!("health/service/{name}?tag=a");
    let answer_body = woken_by(target, &path, target.register(&other)).await;
    assert_eq!(ids(&answer_body), [format!("{name}-a")]);
}

async fn checks_are_woken_by_status(target: &Target) {
    let name = target.unique("checks");
    register(target, &name, &name).await;
    let path = format!("health/checks/{name}");
    let answer_body = woken_by(target, &path, heartbeat(target, &name, "fail")).await;
    assert_eq!(answer_body[0]["Status"], "critical");
}

async fn maintenance_wakes_queries_for_the_service(target: &Target) {
    let name = target.unique("upkeep");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    let maintain = async |enable: bool| {
        let path = format!("/v1/agent/service/maintenance/{name}?enable={enable}");
        target.put(path).await.is(200, "");
    };
    let answer_body = woken_by(target, &path, maintain(true)).await;
    assert_eq!(answer_body[0]["Checks"].as_array().map(Vec::len), Some(3));
    let answer_body = woken_by(target, &path, maintain(false)).await;
    assert_eq!(answer_body[0]["Checks"].as_array().map(Vec::len), Some(2));
}

async fn an_expired_ttl_wakes_queries_for_the_service(target: &Target) {
    let name = target.unique("expiry");
    let check = json!({ "TTL": "2s", "Status": "passing" });
    target.register(&json!({ "Name": name, "Check": check })).await;
    let path = format!("health/service/{name}");
    let index = passing_index_of(target, &name, &path).await;
    let answer_body = target.pending(&waiting(&path, index)).woken().await;
    let check = &answer_body.ok()[0]["Checks"][1];
    assert_eq!((&check["Status"], &check["Output"]), (&json!("critical"), &json!("TTL expired")));
}

async fn an_identical_registration_wakes_no_query(target: &Target) {
    let name = target.unique("identical");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    not_woken_by(target, &path, async {
        register(target, &name, &name).await;
        let service = json!({ "ID": name, "Name": name, "Port": 1,
                              "Check": { "TTL": "1h", "Status": "passing" } });
        let replacing = "/v1/agent/service/register?replace-existing-checks=true";
        target.put_json(replacing, &service).await.is(200, "");
    })
    .await;
}

async fn heartbeats_that_change_nothing_wake_no_query(target: &Target) {
    let name = target.unique("steady");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    not_woken_by(target, &path, async {
        heartbeat(target, &name, "pass").await;
        // A changed output does not wake it either, for minutes.
        heartbeat(target, &name, "pass").await;
        target.put(format!("/v1/agent/check/pass/service:{name}?note=new")).await.is(200, "");
    })
    .await;
}

async fn another_service_wakes_no_query(target: &Target) {
    let (name, other) = (target.unique("mine"), target.unique("theirs"));
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    not_woken_by(target, &path, async {
        register(target, &other, &other).await;
        heartbeat(target, &other, "fail").await;
        target.deregister(&other).await;
    })
    .await;
}

async fn a_query_for_an_unknown_service_waits(target: &Target) {
    // Until the first service is removed, Consul wakes these for any service.
    register(target, "first", "first").await;
    target.deregister("first").await;
    not_woken_by(target, "health/service/later", register(target, "other", "other")).await;
    for path in ["health/service/later", "catalog/service/later"] {
        let answer_body = woken_by(target, path, register(target, "later", "later")).await;
        assert_eq!(answer_body.as_array().map(Vec::len), Some(1), "{path}");
        target.deregister("later").await;
    }
}

async fn removal_of_the_last_instance_wakes_and_the_next_query_waits(target: &Target) {
    register(target, "web", "web").await;
    let path = "health/service/web";
    let answer_body = woken_by(target, path, target.deregister("web")).await;
    assert!(ids(&answer_body).is_empty());
    let answer_body = woken_by(target, path, register(target, "web", "web")).await;
    assert_eq!(ids(&answer_body), ["web"]);
}

async fn the_list_of_services_is_woken_by_services_not_by_status(target: &Target) {
    let path = "catalog/services";
    let answer_body = woken_by(target, path, register(target, "web", "web")).await;
    assert_eq!(answer_body, json!({ "consul": [], "web": [] }));
    not_woken_by(target, path, heartbeat(target, "web", "fail")).await;
    let answer_body = woken_by(target, path, target.deregister("web")).await;
    assert_eq!(answer_body, json!({ "consul": [] }));
}

async fn the_node_list_is_not_woken_by_services(target: &Target) {
    not_woken_by(target, "catalog/nodes", async {
        register(target, "web", "web").await;
        heartbeat(target, "web", "fail").await;
    })
    .await;
}

async fn a_node_is_woken_by_its_services(target: &Target) {
    let answer_body = woken_by(target, "catalog/node/node1", register(target, "web", "web")).await;
    assert_eq!(answer_body["Services"]["web"]["ID"], "web");
    let answer_body = woken_by(target, "health/node/node1", heartbeat(target, "web", "fail")).await;
    assert_eq!(answer_body.as_array().map(Vec::len), Some(2));
}

async fn states_are_woken_by_status(target: &Target) {
    register(target, "web", "web").await;
    let answer_body = woken_by(target, "health/state/any", heartbeat(target, "web", "fail")).await;
    assert_eq!(answer_body[1]["Status"], "critical");
    let answer_body =
        woken_by(target, "health/state/critical", heartbeat(target, "web", "pass")).await;
    assert_eq!(answer_body, json!([]));
}
