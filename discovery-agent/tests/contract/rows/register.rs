//! `PUT /v1/agent/service/register` and `.../deregister/:id`.

use serde_json::{Value, json};
use testkit::http::Request;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_name_is_enough),
    row!(all_fields_of_a_service_are_kept),
    row!(an_ip_address_is_tagged_by_its_family),
    row!(registered_tagged_addresses_are_kept),
    row!(a_host_name_is_not_changed),
    row!(empty_fields_are_no_check_no_tag_no_meta),
    row!(null_in_place_of_a_value_is_the_zero_value),
    row!(a_null_check_is_refused)
        .ours_is_better("Consul's handler panics and resets the connection"),
    row!(some_fields_may_be_snake_case),
    row!(letter_case_of_fields_does_not_matter),
    row!(bytes_after_the_body_are_ignored),
    row!(a_registration_replaces_the_service_but_not_its_checks),
    row!(an_id_can_change_its_name),
    row!(ids_may_be_any_text),
    row!(names_may_be_any_text),
    row!(deregistration_removes_a_service_with_its_checks),
    row!(deregistration_of_an_unknown_service_succeeds),
];

async fn a_name_is_enough(target: &Target) {
    let name = target.unique("bare");
    target.register(&json!({ "Name": name })).await;
    target.get(format!("/v1/agent/service/{name}")).await.is_like(&json!({
        "ID": name,
        "Service": name,
        "Tags": [],
        "Meta": {},
        "Port": 0,
        "Address": "",
        "Weights": { "Passing": 1, "Warning": 1 },
        "EnableTagOverride": false,
        "ContentHash": "<text>",
    }));
}

async fn all_fields_of_a_service_are_kept(target: &Target) {
    let name = target.unique("full");
    let tagged = json!({ "lan": { "Address": "10.1.2.3", "Port": 4 } });
    let service = json!({
        "ID": format!("{name}-a"),
        "Name": name,
        "Tags": ["b", "a", "b"],
        "Address": "some.host.example",
        "Port": 8080,
        "Meta": { "version": "1", "Zone_x-1": "" },
        "Weights": { "Passing": 7, "Warning": 3 },
        "EnableTagOverride": true,
        "TaggedAddresses": tagged,
    });
    target.register(&service).await;
    let expected = json!({
        "ID": format!("{name}-a"),
        "Service": name,
        "Tags": ["b", "a", "b"],
        "Meta": { "version": "1", "Zone_x-1": "" },
        "Port": 8080,
        "Address": "some.host.example",
        "TaggedAddresses": tagged,
        "Weights": { "Passing": 7, "Warning": 3 },
        "EnableTagOverride": true,
    });
    let services = target.get("/v1/agent/services").await.ok();
    like(&services[format!("{name}-a")], &expected);
    let entries = target.get(format!("/v1/health/service/{name}")).await.ok();
    for key in
        ["Tags", "Meta", "Port", "Address", "TaggedAddresses", "Weights", "EnableTagOverride"]
    {
        like(&entries[0]["Service"][key], &expected[key]);
    }
}

async fn an_ip_address_is_tagged_by_its_family(target: &Target) {
    let cases = [("10.0.0.9", "lan_ipv4", "wan_ipv4"), ("2001:db8::9", "lan_ipv6", "wan_ipv6")];
    for (address, lan, wan) in cases {
        let name = target.unique("ip");
        target.register(&json!({ "Name": name, "Address": address, "Port": 9 })).await;
        let tagged = json!({
            lan: { "Address": address, "Port": 9 },
            wan: { "Address": address, "Port": 9 },
        });
        let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
        like(&agent["TaggedAddresses"], &tagged);
        let catalog = target.get(format!("/v1/catalog/service/{name}")).await.ok();
        like(&catalog[0]["ServiceTaggedAddresses"], &tagged);
    }
}

async fn registered_tagged_addresses_are_kept(target: &Target) {
    let own = json!({ "Address": "10.0.0.9", "Port": 9 });
    let cases = [
        json!({ "lan": { "Address": "10.0.0.8", "Port": 8 } }),
        json!({ "wan": { "Address": "web.example", "Port": 443 } }),
        json!({ "an y": { "Address": "2001:db8::9", "Port": 1 } }),
        json!({ "wan_ipv4": { "Address": "203.0.113.9", "Port": 443 } }),
        // Not checked.
        json!({ "wan": { "Address": "0.0.0.0", "Port": 0 } }),
        json!({ "": { "Address": "", "Port": 1 } }),
    ];
    for tagged in cases {
        let name = target.unique("tagged");
        let service =
            json!({ "Name": name, "Address": "10.0.0.9", "Port": 9, "TaggedAddresses": tagged });
        target.register(&service).await;
        // Only what is missing is added.
        let mut expected = json!({ "lan_ipv4": own, "wan_ipv4": own });
        for (key, address) in tagged.as_object().unwrap() {
            expected[key] = address.clone();
        }
        let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
        like(&agent["TaggedAddresses"], &expected);
        let entries = target.get(format!("/v1/health/service/{name}")).await.ok();
        like(&entries[0]["Service"]["TaggedAddresses"], &expected);
    }
}

async fn a_host_name_is_not_changed(target: &Target) {
    let name = target.unique("host");
    target.register(&json!({ "Name": name, "Address": "db.example", "Port": 9 })).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!((&agent["Address"], agent.get("TaggedAddresses")), (&json!("db.example"), None));
}

/// The consul command line sends all of these.
async fn empty_fields_are_no_check_no_tag_no_meta(target: &Target) {
    let name = target.unique("null");
    let service = json!({
        "Kind": "",
        "ID": null,
        "Name": name,
        "Tags": null,
        "Port": 0,
        "Address": "",
        "TaggedAddresses": null,
        "EnableTagOverride": false,
        "Meta": null,
        "Weights": null,
        "Check": null,
        "Checks": null,
        "Proxy": null,
        "Connect": null,
    });
    target.register(&service).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!((&agent["Tags"], &agent["Meta"]), (&json!([]), &json!({})));
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([]));
    // An empty check counts as no check.
    target.register(&json!({ "Name": name, "Check": {}, "Checks": [] })).await;
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([]));
}

async fn null_in_place_of_a_value_is_the_zero_value(target: &Target) {
    let name = target.unique("nulls");
    let service = json!({
        "Name": name,
        "Tags": [null, "a"],
        "Port": null,
        "Meta": { "k": null },
        "TaggedAddresses": { "lan": null, "wan": { "Address": null, "Port": null } },
        "Check": {
            "HTTP": "http://127.0.0.1:1",
            "Interval": "1h",
            "Header": { "A": null, "B": [null] },
            "Status": null,
        },
    });
    target.register(&service).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!((&agent["Tags"], &agent["Meta"]), (&json!(["", "a"]), &json!({ "k": "" })));
    let nowhere = json!({ "Address": "", "Port": 0 });
    assert_eq!(agent["TaggedAddresses"], json!({ "lan": nowhere, "wan": nowhere }));
    // A check whose fields are all null counts as no check.
    let name = target.unique("nulls");
    target.register(&json!({ "Name": name, "Check": { "TTL": null, "Args": null } })).await;
    assert_eq!(target.check(&format!("service:{name}")).await, Value::Null);
}

async fn a_null_check_is_refused(target: &Target) {
    let name = target.unique("nullcheck");
    let body = json!({ "Name": name, "Checks": [null] }).to_string();
    let answer = Request::put("/v1/agent/service/register").body(body).send(target.http_addr());
    if target.is_real() {
        answer.await.unwrap_err();
    } else {
        answer.await.unwrap().is(400, "Invalid check: TTL must be > 0 for TTL checks");
    }
    target
        .get(format!("/v1/agent/service/{name}"))
        .await
        .is(404, &format!("unknown service ID: {name}"));
}

async fn some_fields_may_be_snake_case(target: &Target) {
    let name = target.unique("snake");
    let service = json!({
        "name": name,
        "enable_tag_override": true,
        "tagged_addresses": { "lan": { "address": "10.0.0.1", "port": 8 } },
        "check": {
            "name": "alive",
            "ttl": "1h",
            "status": "passing",
            "deregister_critical_service_after": "90m",
        },
    });
    target.register(&service).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!(agent["EnableTagOverride"], true);
    like(&agent["TaggedAddresses"], &json!({ "lan": { "Address": "10.0.0.1", "Port": 8 } }));
    let check = target.check(&format!("service:{name}")).await;
    assert_eq!((&check["Name"], &check["Status"]), (&json!("alive"), &json!("passing")));
}

async fn letter_case_of_fields_does_not_matter(target: &Target) {
    let name = target.unique("case");
    target.register(&json!({ "nAmE": name, "Name": name, "PORT": 5, "tags": ["x"] })).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!((&agent["Port"], &agent["Tags"]), (&json!(5), &json!(["x"])));
}

async fn bytes_after_the_body_are_ignored(target: &Target) {
    let name = target.unique("trailing");
    let body = format!("{{\"Name\":\"{name}\"}} and more");
    let request = Request::put("/v1/agent/service/register").body(body);
    target.ask(request).await.is(200, "");
    target.get(format!("/v1/agent/service/{name}")).await.ok();
}

async fn a_registration_replaces_the_service_but_not_its_checks(target: &Target) {
    let name = target.unique("again");
    let first = json!({ "Name": name, "Port": 1, "Tags": ["old"], "Meta": { "k": "v" },
                        "Check": { "TTL": "1h" } });
    target.register(&first).await;
    target.register(&json!({ "Name": name, "Port": 2 })).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!(
        (&agent["Port"], &agent["Tags"], &agent["Meta"]),
        (&json!(2), &json!([]), &json!({}))
    );
    assert_eq!(target.check(&format!("service:{name}")).await["Status"], "critical");
}

async fn an_id_can_change_its_name(target: &Target) {
    let (old, new) = (target.unique("old"), target.unique("new"));
    target.register(&json!({ "ID": old, "Name": old })).await;
    target.register(&json!({ "ID": old, "Name": new })).await;
    assert_eq!(target.instances(&new).await, [old.as_str()]);
    assert!(target.instances(&old).await.is_empty());
}

async fn ids_may_be_any_text(target: &Target) {
    let name = target.unique("odd");
    let cases = [
        ("sl/a/sh", "sl%2Fa%2Fsh"),
        ("a space", "a%20space"),
        ("é√", "%C3%A9%E2%88%9A"),
        ("a?b#c%d&e=f+g", "a%3Fb%23c%25d%26e=f+g"),
        ("co:lon", "co:lon"),
    ];
    for (id, encoded) in cases {
        let id = format!("{name} {id}");
        let encoded = format!("{name}%20{encoded}");
        target.register(&json!({ "ID": id, "Name": name, "Check": { "TTL": "1h" } })).await;
        let agent = target.get(format!("/v1/agent/service/{encoded}")).await.ok();
        assert_eq!(agent["ID"], id.as_str());
        target.put(format!("/v1/agent/check/pass/service:{encoded}")).await.is(200, "");
        assert_eq!(target.check(&format!("service:{id}")).await["Status"], "passing");
        target.put(format!("/v1/agent/service/deregister/{encoded}")).await.is(200, "");
        let gone = target.get(format!("/v1/agent/service/{encoded}")).await;
        gone.is(404, &format!("unknown service ID: {id}"));
    }
}

async fn names_may_be_any_text(target: &Target) {
    let cases = [("sl/ash", "sl%2Fash"), ("a space", "a%20space"), ("under_score", "under_score")];
    for (name, encoded) in cases {
        let unique = target.unique("n");
        let (name, encoded) = (format!("{unique}{name}"), format!("{unique}{encoded}"));
        target.register(&json!({ "Name": name })).await;
        assert_eq!(target.instances(&encoded).await, [name.as_str()]);
        let services = target.get("/v1/catalog/services").await.ok();
        assert_eq!(services[&name], json!([]));
    }
}

async fn deregistration_removes_a_service_with_its_checks(target: &Target) {
    let name = target.unique("gone");
    let checks = json!([{ "TTL": "1h" }, { "TTL": "1h" }]);
    target.register(&json!({ "Name": name, "Checks": checks })).await;
    target.deregister(&name).await;
    target
        .get(format!("/v1/agent/service/{name}"))
        .await
        .is(404, &format!("unknown service ID: {name}"));
    assert_eq!(target.check(&format!("service:{name}:1")).await, Value::Null);
    target.get(format!("/v1/health/service/{name}")).await.is_like(&json!([]));
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([]));
    target.get(format!("/v1/catalog/service/{name}")).await.is_like(&json!([]));
}

async fn deregistration_of_an_unknown_service_succeeds(target: &Target) {
    target.put("/v1/agent/service/deregister/nobody").await.is(200, "");
    target.put("/v1/agent/check/deregister/nothing").await.is(200, "");
    target.put("/v1/agent/service/deregister/").await.is(500, "ServiceID missing");
    target.put("/v1/agent/check/deregister/").await.is(500, "CheckID missing");
}
