//! `/v1/catalog/...`: datacenters, nodes, services.

use serde_json::{Value, json};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, DATACENTER, NODE, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(there_is_one_datacenter),
    row!(there_is_one_node),
    row!(a_node_lists_its_services).alone(),
    row!(unknown_nodes_are_null),
    row!(services_list_the_tags_of_all_instances),
    row!(a_service_lists_its_instances_with_their_node),
    row!(a_service_can_be_filtered_by_tag),
    row!(unknown_services_are_empty_and_have_an_index),
    row!(without_a_name_it_is_an_error),
];

/// The node in every answer.
pub(crate) fn node() -> Value {
    json!({
        "ID": "<uuid>",
        "Node": NODE,
        "Address": "127.0.0.1",
        "Datacenter": DATACENTER,
        "TaggedAddresses": {
            "lan": "127.0.0.1",
            "lan_ipv4": "127.0.0.1",
            "wan": "127.0.0.1",
            "wan_ipv4": "127.0.0.1",
        },
        "Meta": { "consul-network-segment": "" },
        "CreateIndex": "<index>",
        "ModifyIndex": "<index>",
    })
}

/// A service that was registered with a port only, as in health and node answers.
pub(crate) fn service(id: &str, name: &str, port: u16) -> Value {
    json!({
        "ID": id,
        "Service": name,
        "Tags": [],
        "Address": "",
        "Meta": null,
        "Port": port,
        "Weights": { "Passing": 1, "Warning": 1 },
        "EnableTagOverride": false,
        "Proxy": { "MeshGateway": {}, "Expose": {} },
        "Connect": {},
        "CreateIndex": "<index>",
        "ModifyIndex": "<index>",
    })
}

async fn there_is_one_datacenter(target: &Target) {
    target.get("/v1/catalog/datacenters").await.is_like(&json!([DATACENTER]));
}

async fn there_is_one_node(target: &Target) {
    target.get("/v1/catalog/nodes").await.is_like(&json!([node()]));
}

async fn a_node_lists_its_services(target: &Target) {
    target.register(&json!({ "ID": "a", "Name": "web", "Port": 1 })).await;
    target.register(&json!({ "ID": "b", "Name": "web" })).await;
    let expected = json!({
        "Node": node(),
        "Services": {
            "consul": "<any>",
            "a": service("a", "web", 1),
            "b": service("b", "web", 0),
        },
    });
    let listed = target.get("/v1/catalog/node/node1").await.ok();
    like(&listed, &expected);
    assert_eq!(listed["Services"]["consul"]["Service"], "consul");
    target.get("/v1/catalog/services").await.is_like(&json!({ "consul": [], "web": [] }));
}

async fn unknown_nodes_are_null(target: &Target) {
    target.get("/v1/catalog/node/stranger").await.is_like(&Value::Null);
}

async fn services_list_the_tags_of_all_instances(target: &Target) {
    let name = target.unique("tagged");
    target.register(&json!({ "ID": format!("{name}-1"), "Name": name, "Tags": ["a", "b"] })).await;
    target.register(&json!({ "ID": format!("{name}-2"), "Name": name, "Tags": ["b", "c"] })).await;
    let services = target.get("/v1/catalog/services").await.ok();
    let mut tags: Vec<&str> =
        services[&name].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["a", "b", "c"]);
    target.deregister(&format!("{name}-1")).await;
    target.deregister(&format!("{name}-2")).await;
    let services = target.get("/v1/catalog/services").await.ok();
    assert_eq!(services.get(&name), None);
}

async fn a_service_lists_its_instances_with_their_node(target: &Target) {
    let name = target.unique("flat");
    let registration = json!({ "Name": name, "Address": "10.0.0.1", "Port": 1, "Tags": ["t"],
                               "Meta": { "k": "v" } });
    target.register(&registration).await;
    let node = node();
    let tagged = json!({ "Address": "10.0.0.1", "Port": 1 });
    target.get(format!("/v1/catalog/service/{name}")).await.is_like(&json!([{
        "ID": node["ID"],
        "Node": node["Node"],
        "Address": node["Address"],
        "Datacenter": node["Datacenter"],
        "TaggedAddresses": node["TaggedAddresses"],
        "NodeMeta": node["Meta"],
        "ServiceKind": "",
        "ServiceID": name,
        "ServiceName": name,
        "ServiceTags": ["t"],
        "ServiceAddress": "10.0.0.1",
        "ServiceTaggedAddresses": { "lan_ipv4": tagged, "wan_ipv4": tagged },
        "ServiceWeights": { "Passing": 1, "Warning": 1 },
        "ServiceMeta": { "k": "v" },
        "ServicePort": 1,
        "ServiceEnableTagOverride": false,
        "ServiceProxy": { "MeshGateway": {}, "Expose": {} },
        "ServiceConnect": {},
        "CreateIndex": "<index>",
        "ModifyIndex": "<index>",
    }]));
    let bare = target.unique("bare");
    target.register(&json!({ "Name": bare })).await;
    let entries = target.get(format!("/v1/catalog/service/{bare}")).await.ok();
    assert_eq!((&entries[0]["ServiceMeta"], &entries[0]["ServiceTags"]), (&json!({}), &json!([])));
    assert_eq!(entries[0].get("ServiceTaggedAddresses"), None);
}

async fn a_service_can_be_filtered_by_tag(target: &Target) {
    let name = target.unique("bytag");
    for (id, tags) in [("a", json!(["x"])), ("b", json!(["x", "Y"])), ("c", json!([]))] {
        target.register(&json!({ "ID": format!("{name}-{id}"), "Name": name, "Tags": tags })).await;
    }
    let cases =
        [("", "abc"), ("?tag=x", "ab"), ("?tag=x&tag=y", "b"), ("?tag=none", ""), ("?tag=X", "ab")];
    for (query, expected) in cases {
        let entries = target.get(format!("/v1/catalog/service/{name}{query}")).await.ok();
        let ids =
            entries.as_array().unwrap().iter().map(|entry| entry["ServiceID"].as_str().unwrap());
        let last: String = ids.filter_map(|id| id.chars().last()).collect();
        assert_eq!(last, expected, "{query}");
    }
}

async fn unknown_services_are_empty_and_have_an_index(target: &Target) {
    for path in ["catalog/service", "health/service", "health/checks"] {
        let answer = target.get(format!("/v1/{path}/stranger")).await;
        like(&answer.ok(), &json!([]));
        assert!(answer.index() > 0, "{path}");
    }
}

async fn without_a_name_it_is_an_error(target: &Target) {
    let cases = [
        ("catalog/service/", "Missing service name"),
        ("catalog/node/", "Missing node name"),
        ("health/service/", "Missing service name"),
        ("health/checks/", "Missing service name"),
        ("health/node/", "Missing node name"),
        ("health/state/", "Missing check state"),
    ];
    for (path, text) in cases {
        target.get(format!("/v1/{path}")).await.is(400, text);
    }
}
