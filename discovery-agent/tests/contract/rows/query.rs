//! Other query parameters: consistency, datacenter, cache, and those that are refused.

use http::{HeaderName, header};
use serde_json::json;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, DATACENTER, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(consistency_is_echoed),
    row!(contradictory_consistency_is_refused),
    row!(a_cached_answer_has_its_age),
    row!(an_index_is_a_number),
    row!(a_wait_is_a_duration),
    row!(another_datacenter_is_refused),
    row!(the_own_datacenter_is_accepted),
    row!(near_and_newer_options_change_nothing),
    row!(node_meta_selects_nodes),
    row!(tokens_are_accepted_and_ignored),
    row!(namespaces_are_refused),
    row!(an_unsupported_filter_is_refused),
];

/// One path of each family that reads the catalog.
const READS: [&str; 7] = [
    "health/service/consul",
    "health/checks/consul",
    "health/node/node1",
    "health/state/any",
    "catalog/nodes",
    "catalog/services",
    "catalog/service/consul",
];

async fn consistency_is_echoed(target: &Target) {
    let cases = [
        ("", "leader"),
        ("?stale", "stale"),
        ("?stale=1", "stale"),
        ("?consistent", "consistent"),
        ("?max_stale=10s", "stale"),
    ];
    for path in READS {
        for (query, consistency) in cases {
            let answer = target.get(format!("/v1/{path}{query}")).await;
            answer.ok();
            let headers = [
                ("x-consul-effective-consistency", consistency),
                ("x-consul-knownleader", "true"),
                ("x-consul-lastcontact", "0"),
            ];
            for (name, value) in headers {
                assert_eq!(answer.header(name), Some(value), "{path}{query}");
            }
            assert!(answer.index() > 0);
        }
    }
}

async fn contradictory_consistency_is_refused(target: &Target) {
    let cases = [
        ("stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."),
        ("cached&consistent", "Cannot specify ?cached with ?consistent, conflicting semantics."),
    ];
    for path in READS {
        for (query, text) in cases {
            target.get(format!("/v1/{path}?{query}")).await.is(400, text);
        }
    }
}

async fn a_cached_answer_has_its_age(target: &Target) {
    let name = target.unique("cached");
    target.register(&json!({ "Name": name })).await;
    for path in [format!("health/service/{name}"), format!("catalog/service/{name}")] {
        let path = format!("/v1/{path}?cached");
        let first = target.get(&path).await;
        first.ok();
        assert!(matches!(first.header("x-cache"), Some("MISS" | "HIT")), "{path}");
        let second = target.get(&path).await;
        assert_eq!(second.ok(), first.json());
        assert_eq!(second.header("x-cache"), Some("HIT"), "{path}");
        let age = second.header("age").and_then(|age| age.parse::<u64>().ok());
        assert!(age.is_some(), "{path}: {:?}", second.headers);
    }
    let uncached = target.get(format!("/v1/health/service/{name}")).await;
    assert_eq!((uncached.header("x-cache"), uncached.header("age")), (None, None));
}

async fn an_index_is_a_number(target: &Target) {
    for path in READS {
        for index in ["x", "-1", "1.5", "18446744073709551616"] {
            target.get(format!("/v1/{path}?index={index}")).await.is(400, "Invalid index");
        }
    }
}

async fn a_wait_is_a_duration(target: &Target) {
    for path in READS {
        for wait in ["2", "x", "1x", "s", "1m30"] {
            target.get(format!("/v1/{path}?wait={wait}")).await.is(400, "Invalid wait time");
        }
        for wait in ["2s", "1m30s", "1.5h", "20ms", "0", ""] {
            let answer = target.get(format!("/v1/{path}?wait={wait}")).await;
            assert_eq!(answer.status, 200, "{path}?wait={wait}");
        }
    }
}

async fn another_datacenter_is_refused(target: &Target) {
    for path in READS.into_iter().chain(["catalog/node/node1", "status/leader", "status/peers"]) {
        target.get(format!("/v1/{path}?dc=elsewhere")).await.is(500, "No path to datacenter");
    }
    // The agent's own data has no datacenter.
    for path in ["agent/services", "agent/checks", "catalog/datacenters"] {
        target.get(format!("/v1/{path}?dc=elsewhere")).await.ok();
    }
}

async fn the_own_datacenter_is_accepted(target: &Target) {
    let name = target.unique("dc");
    target.register(&json!({ "Name": name })).await;
    for dc in [DATACENTER, ""] {
        assert_eq!(target.instances(&format!("{name}?dc={dc}")).await, [name.as_str()]);
    }
}

async fn near_and_newer_options_change_nothing(target: &Target) {
    let name = target.unique("options");
    target.register(&json!({ "Name": name })).await;
    for query in
        ["near=_agent", "near=node1", "merge-central-config", "partition=x", "peer=x", "unheard-of"]
    {
        assert_eq!(target.instances(&format!("{name}?{query}")).await, [name.as_str()], "{query}");
    }
}

async fn node_meta_selects_nodes(target: &Target) {
    let name = target.unique("meta");
    target.register(&json!({ "Name": name })).await;
    let cases = [("consul-network-segment:", 1), ("rack:1", 0), ("rack", 0)];
    for (meta, instances) in cases {
        let found = target.instances(&format!("{name}?node-meta={meta}")).await;
        assert_eq!(found.len(), instances, "{meta}");
    }
}

async fn tokens_are_accepted_and_ignored(target: &Target) {
    let path = "/v1/catalog/service/consul";
    let without = target.get(path).await.ok();
    assert_eq!(without[0]["ServiceName"], "consul");
    let token = HeaderName::from_static("x-consul-token");
    for (name, value) in [(token, "secret"), (header::AUTHORIZATION, "Bearer secret")] {
        assert_eq!(target.get_with(path, name, value).await.ok(), without);
    }
    assert_eq!(target.get(format!("{path}?token=secret")).await.ok(), without);
}

async fn namespaces_are_refused(target: &Target) {
    let text =
        "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature";
    for path in
        ["health/service/consul", "catalog/services", "catalog/service/consul", "agent/services"]
    {
        target.get(format!("/v1/{path}?ns=default")).await.is(400, text);
    }
}

/// An ignored filter would be a wrong answer. The embedded agent supports none; programs that filter need a real Consul.
async fn an_unsupported_filter_is_refused(target: &Target) {
    // The list of services has no filter in this version.
    let filtered = READS.into_iter().filter(|path| *path != "catalog/services");
    for path in filtered.chain(["agent/services", "agent/checks"]) {
        let answer = target.get(format!("/v1/{path}?filter=bogus")).await;
        assert_eq!(answer.status, 500, "{path}");
        let start = "Failed to create boolean expression evaluator: ";
        assert!(answer.text().starts_with(start), "{path}: {}", answer.text());
    }
}
