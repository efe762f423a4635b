//! The agent's description of itself, of its cluster and of its own services.

use serde_json::{Value, json};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, DATACENTER, NODE, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(self_describes_the_agent),
    row!(stats_are_texts),
    row!(it_is_a_member_of_its_cluster),
    row!(it_is_its_own_leader_and_only_peer),
    row!(it_lists_its_services_by_id).alone(),
    row!(it_lists_its_checks_by_id).alone(),
    row!(an_unknown_service_is_not_found),
    row!(an_unchanged_service_returns_its_hash_when_the_wait_ends),
    row!(another_hash_or_none_is_answered_immediately),
    row!(a_hash_is_woken_by_a_change),
    row!(a_hash_is_woken_by_deregistration),
    row!(a_hash_is_not_woken_by_an_identical_registration_or_heartbeats),
];

async fn self_describes_the_agent(target: &Target) {
    let itself = target.get("/v1/agent/self").await.ok();
    like(
        &itself["Config"],
        &json!({
            "Datacenter": DATACENTER,
            "NodeName": NODE,
            "NodeID": "<uuid>",
            "Revision": "<text>",
            "Server": true,
            "Version": "<text>",
        }),
    );
    assert!(itself["Meta"].is_object());
    assert_eq!(itself["Member"], target.get("/v1/agent/members").await.ok()[0]);
}

/// The data of `consul info`.
async fn stats_are_texts(target: &Target) {
    let stats = target.get("/v1/agent/self").await.ok()["Stats"].clone();
    assert_eq!(stats["consul"]["server"], "true");
    assert_eq!(stats["consul"]["leader"], "true");
    for section in ["agent", "build", "consul"] {
        let values = stats[section].as_object().unwrap_or_else(|| panic!("no {section}"));
        assert!(values.values().all(Value::is_string), "{section}: {values:?}");
    }
}

async fn it_is_a_member_of_its_cluster(target: &Target) {
    for query in ["", "?segment=_all"] {
        let members = target.get(format!("/v1/agent/members{query}")).await.ok();
        assert_eq!(members.as_array().map(Vec::len), Some(1));
        let member = &members[0];
        assert_eq!(member["Name"], NODE);
        assert_eq!((&member["Addr"], &member["Status"]), (&json!("127.0.0.1"), &json!(1)));
        assert_eq!(
            (&member["Tags"]["role"], &member["Tags"]["dc"]),
            (&json!("consul"), &json!("dc1"))
        );
        for key in ["id", "port", "build", "vsn", "raft_vsn", "segment"] {
            assert!(member["Tags"][key].is_string(), "{key}");
        }
        let protocols = [
            "ProtocolMin",
            "ProtocolMax",
            "ProtocolCur",
            "DelegateMin",
            "DelegateMax",
            "DelegateCur",
        ];
        assert!(protocols.iter().all(|key| member[key].is_u64()) && member["Port"].is_u64());
    }
    let wan = target.get("/v1/agent/members?wan=1").await.ok();
    assert_eq!(wan[0]["Name"], format!("{NODE}.{DATACENTER}"));
}

async fn it_is_its_own_leader_and_only_peer(target: &Target) {
    let leader = target.get("/v1/status/leader").await.ok();
    let addr: std::net::SocketAddr = leader.as_str().unwrap().parse().unwrap();
    assert!(addr.ip().is_loopback());
    assert_eq!(target.get("/v1/status/peers").await.ok(), json!([leader]));
}

async fn it_lists_its_services_by_id(target: &Target) {
    // The service `consul` is in the catalog, not on the agent.
    target.get("/v1/agent/services").await.is_like(&json!({}));
    target.register(&json!({ "ID": "b", "Name": "web", "Port": 1 })).await;
    target.register(&json!({ "ID": "a", "Name": "web" })).await;
    let service = |id: &str, port: u16| {
        json!({
            "ID": id,
            "Service": "web",
            "Tags": [],
            "Meta": {},
            "Port": port,
            "Address": "",
            "Weights": { "Passing": 1, "Warning": 1 },
            "EnableTagOverride": false,
        })
    };
    let both = json!({ "a": service("a", 0), "b": service("b", 1) });
    target.get("/v1/agent/services").await.is_like(&both);
}

async fn it_lists_its_checks_by_id(target: &Target) {
    // The check of the node itself is in the catalog only.
    target.get("/v1/agent/checks").await.is_like(&json!({}));
    target.register(&json!({ "Name": "a", "Check": { "TTL": "1h" } })).await;
    let checks = target.get("/v1/agent/checks").await.ok();
    assert_eq!(checks.as_object().map(|checks| checks.len()), Some(1));
    assert_eq!(checks["service:a"]["CheckID"], "service:a");
}

async fn an_unknown_service_is_not_found(target: &Target) {
    target.get("/v1/agent/service/stranger").await.is(404, "unknown service ID: stranger");
    target.get("/v1/agent/service/").await.is(404, "unknown service ID: ");
}

async fn hash_of(target: &Target, name: &str) -> String {
    let answer = target.get(format!("/v1/agent/service/{name}")).await;
    let hash = answer.ok()["ContentHash"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-consul-contenthash"), Some(hash.as_str()));
    hash
}

async fn an_unchanged_service_returns_its_hash_when_the_wait_ends(target: &Target) {
    let name = target.unique("hash");
    target.register(&json!({ "Name": name })).await;
    let hash = hash_of(target, &name).await;
    let asked_at = tokio::time::Instant::now();
    let answer = target.get(format!("/v1/agent/service/{name}?hash={hash}&wait=1s")).await;
    assert_eq!(answer.ok()["ContentHash"], hash.as_str());
    assert!(asked_at.elapsed() >= std::time::Duration::from_secs(1));
    target
        .get(format!("/v1/agent/service/{name}?hash={hash}&wait=2"))
        .await
        .is(400, "Invalid wait time");
}

async fn another_hash_or_none_is_answered_immediately(target: &Target) {
    let name = target.unique("hash");
    target.register(&json!({ "Name": name })).await;
    for query in ["hash=other&wait=1m", "hash=&wait=1m", "wait=1m"] {
        target.pending(&format!("/v1/agent/service/{name}?{query}")).woken().await.ok();
    }
    target
        .get("/v1/agent/service/stranger?hash=x&wait=1m")
        .await
        .is(404, "unknown service ID: stranger");
}

async fn a_hash_is_woken_by_a_change(target: &Target) {
    let name = target.unique("hash");
    target.register(&json!({ "Name": name })).await;
    let hash = hash_of(target, &name).await;
    let mut pending = target.pending(&format!("/v1/agent/service/{name}?hash={hash}&wait=1m"));
    pending.stays_pending().await;
    target.register(&json!({ "Name": name, "Port": 2 })).await;
    let answer = pending.woken().await;
    assert_eq!(answer.ok()["Port"], 2);
    assert_ne!(answer.header("x-consul-contenthash"), Some(hash.as_str()));
}

async fn a_hash_is_woken_by_deregistration(target: &Target) {
    let name = target.unique("hash");
    target.register(&json!({ "Name": name })).await;
    let hash = hash_of(target, &name).await;
    let mut pending = target.pending(&format!("/v1/agent/service/{name}?hash={hash}&wait=1m"));
    pending.stays_pending().await;
    target.put(format!("/v1/agent/service/deregister/{name}")).await.is(200, "");
    pending.woken().await.is(404, &format!("unknown service ID: {name}"));
}

async fn a_hash_is_not_woken_by_an_identical_registration_or_heartbeats(target: &Target) {
    let name = target.unique("hash");
    let service = json!({ "Name": name, "Port": 1, "Check": { "TTL": "1h" } });
    target.register(&service).await;
    let hash = hash_of(target, &name).await;
    let mut pending = target.pending(&format!("/v1/agent/service/{name}?hash={hash}&wait=1m"));
    target.register(&service).await;
    target.put(format!("/v1/agent/check/pass/service:{name}")).await.is(200, "");
    pending.stays_pending().await;
}
