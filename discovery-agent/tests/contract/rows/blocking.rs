//! Blocking queries: what they wait for, and what wakes them.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    table::{Row, row},
    target::{Says as _, Target, ids},
};

pub(crate) const ROWS: &[Row] = &[
    row!(the_current_index_waits_until_the_wait_ends).alone(),
    row!(a_future_index_waits_and_is_told_the_current_one).alone(),
    row!(an_older_index_is_answered_at_once),
    row!(index_zero_or_none_is_answered_at_once),
    row!(indexes_grow_with_every_change),
    row!(a_registration_wakes_those_who_wait_for_its_service),
    row!(deregistration_wakes_those_who_wait_for_the_service),
    row!(a_changed_status_wakes_those_who_wait_for_the_service),
    row!(a_changed_service_wakes_those_who_wait_for_it),
    row!(passing_queries_are_woken_by_status),
    row!(tag_queries_are_woken_by_their_service),
    // Consul wakes these for other services' checks, too, when it feels like it.
    row!(checks_are_woken_by_status).alone(),
    row!(maintenance_wakes_those_who_wait_for_the_service),
    row!(an_expired_ttl_wakes_those_who_wait_for_the_service),
    row!(an_identical_registration_wakes_nobody),
    row!(beats_that_change_nothing_wake_nobody),
    row!(another_service_wakes_nobody),
    row!(an_unknown_service_is_waited_for).alone(),
    row!(the_last_instance_gone_wakes_and_the_next_query_waits).alone(),
    row!(the_list_of_services_is_woken_by_services_not_by_status).alone(),
    row!(the_node_list_is_not_woken_by_services).alone(),
    row!(a_node_is_woken_by_its_services).alone(),
    row!(states_are_woken_by_status).alone(),
];

/// The index with which a next query waits.
async fn index_of(target: &Target, path: &str) -> u64 {
    target.get(format!("/v1/{path}")).await.index()
}

/// An index at which the instance passes: on a slow machine a short TTL may be over before it is asked for.
async fn passing_index_of(target: &Target, id: &str, path: &str) -> u64 {
    loop {
        target.put(format!("/v1/agent/check/pass/service:{id}")).await.is(200, "");
        let told = target.get(format!("/v1/{path}")).await;
        if told.ok()[0]["Checks"][1]["Status"] == "passing" {
            return told.index();
        }
    }
}

fn waiting(path: &str, index: u64) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("/v1/{path}{joint}index={index}&wait=1m")
}

/// A query of this path sleeps until this is done, and is woken by it with a higher index; returns what it is told.
async fn woken_by(
    target: &Target,
    path: &str,
    done: impl Future<Output = ()>,
) -> serde_json::Value {
    let index = index_of(target, path).await;
    let mut standing = target.standing(&waiting(path, index));
    standing.sleeps().await;
    done.await;
    let answer = standing.woken().await;
    assert!(answer.index() > index, "{path}: {} after {index}", answer.index());
    answer.ok()
}

/// A query of this path sleeps through this.
async fn not_woken_by(target: &Target, path: &str, done: impl Future<Output = ()>) {
    let index = index_of(target, path).await;
    let mut standing = target.standing(&waiting(path, index));
    standing.sleeps().await;
    done.await;
    standing.sleeps().await;
    assert_eq!(index_of(target, path).await, index, "{path}");
}

async fn register(target: &Target, id: &str, name: &str) {
    let check = json!({ "TTL": "1h", "Status": "passing" });
    target.register(&json!({ "ID": id, "Name": name, "Port": 1, "Check": check })).await;
}

async fn beat(target: &Target, id: &str, beat: &str) {
    target.put(format!("/v1/agent/check/{beat}/service:{id}")).await.is(200, "");
    target.settled(id).await;
}

/// The wait, and up to a sixteenth more, so that those who came together do not come together again.
async fn the_current_index_waits_until_the_wait_ends(target: &Target) {
    register(target, "web", "web").await;
    for path in ["health/service/web", "catalog/services", "health/state/any"] {
        let index = index_of(target, path).await;
        let asked_at = Instant::now();
        let answer = target.get(format!("/v1/{path}?index={index}&wait=1600ms")).await;
        let waited = asked_at.elapsed();
        assert_eq!((answer.status.as_u16(), answer.index()), (200, index), "{path}");
        // That it ends at all is up to whoever asks, who gives up at some time: how soon after the wait, no busy machine can promise.
        assert!(waited >= Duration::from_millis(1600), "{path}: {waited:?}");
    }
}

async fn a_future_index_waits_and_is_told_the_current_one(target: &Target) {
    register(target, "web", "web").await;
    let index = index_of(target, "health/service/web").await;
    let asked_at = Instant::now();
    let future = index + 1_000_000;
    let answer = target.get(format!("/v1/health/service/web?index={future}&wait=1s")).await;
    assert!(asked_at.elapsed() >= Duration::from_secs(1));
    assert_eq!((answer.status.as_u16(), answer.index()), (200, index));
}

async fn an_older_index_is_answered_at_once(target: &Target) {
    let name = target.unique("older");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    let index = index_of(target, &path).await;
    let answer = target.standing(&waiting(&path, index - 1)).woken().await;
    assert_eq!((answer.index(), ids(&answer.ok())), (index, vec![name]));
}

async fn index_zero_or_none_is_answered_at_once(target: &Target) {
    let name = target.unique("zero");
    register(target, &name, &name).await;
    for query in ["index=0&wait=1m", "index=1&wait=1m", "wait=1m", "index=&wait=1m"] {
        let path = format!("/v1/health/service/{name}?{query}");
        target.standing(&path).woken().await.ok();
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

async fn a_registration_wakes_those_who_wait_for_its_service(target: &Target) {
    let name = target.unique("join");
    register(target, &name, &name).await;
    let second = format!("{name}-2");
    let path = format!("health/service/{name}");
    let told = woken_by(target, &path, register(target, &second, &name)).await;
    assert_eq!(ids(&told), [name.clone(), second]);
    let path = format!("catalog/service/{name}");
    woken_by(target, &path, register(target, &format!("{name}-3"), &name)).await;
}

async fn deregistration_wakes_those_who_wait_for_the_service(target: &Target) {
    let name = target.unique("leave");
    let second = format!("{name}-2");
    register(target, &name, &name).await;
    register(target, &second, &name).await;
    let path = format!("health/service/{name}");
    let told = woken_by(target, &path, target.deregister(&name)).await;
    assert_eq!(ids(&told), [second]);
}

async fn a_changed_status_wakes_those_who_wait_for_the_service(target: &Target) {
    let name = target.unique("flip");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    for (word, status) in [("warn", "warning"), ("fail", "critical"), ("pass", "passing")] {
        let told = woken_by(target, &path, beat(target, &name, word)).await;
        assert_eq!(told[0]["Checks"][1]["Status"], status);
    }
}

async fn a_changed_service_wakes_those_who_wait_for_it(target: &Target) {
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

/// Also where the answer stays empty: the index is the service's.
async fn passing_queries_are_woken_by_status(target: &Target) {
    let name = target.unique("onlypassing");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}?passing");
    let told = woken_by(target, &path, beat(target, &name, "fail")).await;
    assert!(ids(&told).is_empty());
    let told = woken_by(target, &path, beat(target, &name, "warn")).await;
    assert!(ids(&told).is_empty());
    let told = woken_by(target, &path, beat(target, &name, "pass")).await;
    assert_eq!(ids(&told), [name]);
}

async fn tag_queries_are_woken_by_their_service(target: &Target) {
    let name = target.unique("bytag");
    target.register(&json!({ "ID": format!("{name}-a"), "Name": name, "Tags": ["a"] })).await;
    let other = json!({ "ID": format!("{name}-b"), "Name": name, "Tags": ["b"] });
    let path = format!("health/service/{name}?tag=a");
    let told = woken_by(target, &path, target.register(&other)).await;
    assert_eq!(ids(&told), [format!("{name}-a")]);
}

async fn checks_are_woken_by_status(target: &Target) {
    let name = target.unique("checks");
    register(target, &name, &name).await;
    let path = format!("health/checks/{name}");
    let told = woken_by(target, &path, beat(target, &name, "fail")).await;
    assert_eq!(told[0]["Status"], "critical");
}

async fn maintenance_wakes_those_who_wait_for_the_service(target: &Target) {
    let name = target.unique("upkeep");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    let maintain = async |enable: bool| {
        let path = format!("/v1/agent/service/maintenance/{name}?enable={enable}");
        target.put(path).await.is(200, "");
    };
    let told = woken_by(target, &path, maintain(true)).await;
    assert_eq!(told[0]["Checks"].as_array().map(Vec::len), Some(3));
    let told = woken_by(target, &path, maintain(false)).await;
    assert_eq!(told[0]["Checks"].as_array().map(Vec::len), Some(2));
}

async fn an_expired_ttl_wakes_those_who_wait_for_the_service(target: &Target) {
    let name = target.unique("expiry");
    let check = json!({ "TTL": "2s", "Status": "passing" });
    target.register(&json!({ "Name": name, "Check": check })).await;
    let path = format!("health/service/{name}");
    let index = passing_index_of(target, &name, &path).await;
    let told = target.standing(&waiting(&path, index)).woken().await;
    let check = &told.ok()[0]["Checks"][1];
    assert_eq!((&check["Status"], &check["Output"]), (&json!("critical"), &json!("TTL expired")));
}

async fn an_identical_registration_wakes_nobody(target: &Target) {
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

async fn beats_that_change_nothing_wake_nobody(target: &Target) {
    let name = target.unique("steady");
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    not_woken_by(target, &path, async {
        beat(target, &name, "pass").await;
        // Nor does what it says, for minutes to come.
        beat(target, &name, "pass").await;
        target.put(format!("/v1/agent/check/pass/service:{name}?note=new")).await.is(200, "");
    })
    .await;
}

async fn another_service_wakes_nobody(target: &Target) {
    let (name, other) = (target.unique("mine"), target.unique("theirs"));
    register(target, &name, &name).await;
    let path = format!("health/service/{name}");
    not_woken_by(target, &path, async {
        register(target, &other, &other).await;
        beat(target, &other, "fail").await;
        target.deregister(&other).await;
    })
    .await;
}

async fn an_unknown_service_is_waited_for(target: &Target) {
    // Until a first service is gone for good, Consul wakes these for any service.
    register(target, "first", "first").await;
    target.deregister("first").await;
    not_woken_by(target, "health/service/later", register(target, "other", "other")).await;
    for path in ["health/service/later", "catalog/service/later"] {
        let told = woken_by(target, path, register(target, "later", "later")).await;
        assert_eq!(told.as_array().map(Vec::len), Some(1), "{path}");
        target.deregister("later").await;
    }
}

async fn the_last_instance_gone_wakes_and_the_next_query_waits(target: &Target) {
    register(target, "web", "web").await;
    let path = "health/service/web";
    let told = woken_by(target, path, target.deregister("web")).await;
    assert!(ids(&told).is_empty());
    let told = woken_by(target, path, register(target, "web", "web")).await;
    assert_eq!(ids(&told), ["web"]);
}

async fn the_list_of_services_is_woken_by_services_not_by_status(target: &Target) {
    let path = "catalog/services";
    let told = woken_by(target, path, register(target, "web", "web")).await;
    assert_eq!(told, json!({ "consul": [], "web": [] }));
    not_woken_by(target, path, beat(target, "web", "fail")).await;
    let told = woken_by(target, path, target.deregister("web")).await;
    assert_eq!(told, json!({ "consul": [] }));
}

async fn the_node_list_is_not_woken_by_services(target: &Target) {
    not_woken_by(target, "catalog/nodes", async {
        register(target, "web", "web").await;
        beat(target, "web", "fail").await;
    })
    .await;
}

async fn a_node_is_woken_by_its_services(target: &Target) {
    let told = woken_by(target, "catalog/node/node1", register(target, "web", "web")).await;
    assert_eq!(told["Services"]["web"]["ID"], "web");
    let told = woken_by(target, "health/node/node1", beat(target, "web", "fail")).await;
    assert_eq!(told.as_array().map(Vec::len), Some(2));
}

async fn states_are_woken_by_status(target: &Target) {
    register(target, "web", "web").await;
    let told = woken_by(target, "health/state/any", beat(target, "web", "fail")).await;
    assert_eq!(told[1]["Status"], "critical");
    let told = woken_by(target, "health/state/critical", beat(target, "web", "pass")).await;
    assert_eq!(told, json!([]));
}
