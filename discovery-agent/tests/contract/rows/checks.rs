//! Registration of checks: ids, names, initial status, and the effect of a new registration.

use serde_json::{Value, json};

use crate::{
    like::differences,
    table::{Row, row},
    target::{AnswerExt as _, NODE, Target, like},
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_single_check_is_named_after_its_service),
    row!(several_checks_are_numbered),
    row!(checks_may_have_their_own_names),
    row!(the_single_check_precedes_the_listed_ones),
    row!(a_check_belongs_to_the_service_that_registered_it_last),
    row!(a_check_starts_critical_without_a_status),
    row!(an_identical_registration_keeps_the_status_of_checks),
    row!(another_registration_leaves_zombie_checks),
    row!(zombie_checks_are_removed_on_request),
    row!(a_separate_check_joins_a_service),
    row!(a_separate_check_may_belong_to_the_node).alone(),
    row!(a_check_keeps_the_tags_of_its_registration),
];

/// The checks of a service on the agent, by id, with their status.
async fn checks_of(target: &Target, service: &str) -> Vec<(String, String)> {
    let checks = target.get("/v1/agent/checks").await.ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut of_it: Vec<_> = checks
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, check)| check["ServiceID"] == service)
        .map(|(id, check)| (id.clone(), text(&check["Status"])))
        .collect();
    of_it.sort();
    of_it
}

fn pairs<const N: usize>(pairs: [(String, &str); N]) -> Vec<(String, String)> {
    let mut pairs = pairs.map(|(id, status)| (id, status.to_owned()));
    pairs.sort();
    pairs.to_vec()
}

async fn a_single_check_is_named_after_its_service(target: &Target) {
    let name = target.unique("one");
    let id = format!("{name}-a");
    target
        .register(&json!({ "ID": id, "Name": name, "Tags": ["t"], "Check": { "TTL": "1h" } }))
        .await;
    let mut expected = json!({
        "Node": NODE,
        "CheckID": format!("service:{id}"),
        "Name": format!("Service '{name}' check"),
        "Status": "critical",
        "Notes": "",
        "Output": "",
        "ServiceID": id,
        "ServiceName": name,
        "ServiceTags": ["t"],
        "Type": "ttl",
        "Definition": {},
        "CreateIndex": 0,
        "ModifyIndex": 0,
    });
    like(&target.check(&format!("service:{id}")).await, &expected);
    // The agent has no indexes; the catalog does.
    expected["CreateIndex"] = json!("<index>");
    expected["ModifyIndex"] = json!("<index>");
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([expected]));
}

async fn several_checks_are_numbered(target: &Target) {
    let name = target.unique("many");
    target.register(&json!({ "Name": name, "Checks": [{ "TTL": "1h" }, { "TTL": "1h" }] })).await;
    let numbered = [1, 2].map(|number| (format!("service:{name}:{number}"), "critical"));
    assert_eq!(checks_of(target, &name).await, pairs(numbered));

    let name = target.unique("listed");
    target.register(&json!({ "Name": name, "Checks": [{ "TTL": "1h" }] })).await;
    assert_eq!(checks_of(target, &name).await, pairs([(format!("service:{name}"), "critical")]));
}

async fn checks_may_have_their_own_names(target: &Target) {
    let name = target.unique("named");
    let check =
        json!({ "CheckID": format!("{name}!"), "Name": "is it", "Notes": "n", "TTL": "1h" });
    target.register(&json!({ "Name": name, "Checks": [{ "TTL": "1h" }, check] })).await;
    let check = target.check(&format!("{name}!")).await;
    assert_eq!((&check["Name"], &check["Notes"]), (&json!("is it"), &json!("n")));
    let both = [(format!("{name}!"), "critical"), (format!("service:{name}:1"), "critical")];
    assert_eq!(checks_of(target, &name).await, pairs(both));
}

async fn the_single_check_precedes_the_listed_ones(target: &Target) {
    let name = target.unique("both");
    let checks = json!([{ "TTL": "1h", "Name": "second" }, { "CheckID": format!("{name}!"), "TTL": "1h" },
                        { "TTL": "1h", "Name": "fourth" }]);
    target
        .register(
            &json!({ "Name": name, "Check": { "TTL": "1h", "Name": "first" }, "Checks": checks }),
        )
        .await;
    // Checks with their own id are counted too.
    for (number, expected) in [(1, "first"), (2, "second"), (4, "fourth")] {
        assert_eq!(target.check(&format!("service:{name}:{number}")).await["Name"], expected);
    }
    assert_eq!(target.check(&format!("service:{name}:3")).await, Value::Null);
}

async fn a_check_belongs_to_the_service_that_registered_it_last(target: &Target) {
    let (first, last) = (target.unique("first"), target.unique("last"));
    let check = json!({ "CheckID": format!("{first}!"), "TTL": "1h" });
    target.register(&json!({ "Name": first, "Check": check })).await;
    target.register(&json!({ "Name": last, "Check": check })).await;
    assert_eq!(target.check(&format!("{first}!")).await["ServiceID"], last.as_str());
    assert!(checks_of(target, &first).await.is_empty());
}

async fn a_check_starts_critical_without_a_status(target: &Target) {
    for status in ["passing", "warning", "critical"] {
        let name = target.unique(status);
        target.register(&json!({ "Name": name, "Check": { "TTL": "1h", "Status": status } })).await;
        assert_eq!(target.status(&format!("service:{name}")).await.0, status);
    }
    let name = target.unique("unsaid");
    target.register(&json!({ "Name": name, "Check": { "TTL": "1h", "Status": "" } })).await;
    assert_eq!(target.status(&format!("service:{name}")).await.0, "critical");
}

async fn an_identical_registration_keeps_the_status_of_checks(target: &Target) {
    let name = target.unique("same");
    let check = format!("service:{name}");
    for query in ["", "?replace-existing-checks=true"] {
        let service = json!({ "Name": name, "Port": 1, "Check": { "TTL": "1h" } });
        target.register(&service).await;
        target.put(format!("/v1/agent/check/pass/{check}?note=alive")).await.is(200, "");
        target.put_json(format!("/v1/agent/service/register{query}"), &service).await.is(200, "");
        assert_eq!(
            target.status(&check).await,
            ("passing".to_owned(), "alive".to_owned()),
            "{query}"
        );
        // A changed port does not make it critical either.
        let moved = json!({ "Name": name, "Port": 2, "Check": { "TTL": "1h" } });
        target.put_json(format!("/v1/agent/service/register{query}"), &moved).await.is(200, "");
        assert_eq!(
            target.status(&check).await,
            ("passing".to_owned(), "alive".to_owned()),
            "{query}"
        );
    }
}

async fn another_registration_leaves_zombie_checks(target: &Target) {
    let name = target.unique("zombie");
    target.register(&json!({ "Name": name, "Check": { "TTL": "1h" } })).await;
    let other = json!({ "Name": name, "Check": { "CheckID": format!("{name}!"), "TTL": "1h" } });
    let both = [(format!("{name}!"), "critical"), (format!("service:{name}"), "critical")];
    for query in ["", "?replace-existing-checks=1", "?replace-existing-checks=false"] {
        target.put_json(format!("/v1/agent/service/register{query}"), &other).await.is(200, "");
        assert_eq!(checks_of(target, &name).await, pairs(both.clone()), "{query}");
    }
}

async fn zombie_checks_are_removed_on_request(target: &Target) {
    for query in ["?replace-existing-checks=true", "?replace-existing-checks"] {
        let name = target.unique("replaced");
        target.register(&json!({ "Name": name, "Check": { "TTL": "1h" } })).await;
        let other =
            json!({ "Name": name, "Check": { "CheckID": format!("{name}!"), "TTL": "1h" } });
        target.put_json(format!("/v1/agent/service/register{query}"), &other).await.is(200, "");
        let only = [(format!("{name}!"), "critical")];
        assert_eq!(checks_of(target, &name).await, pairs(only), "{query}");
        target.settled(&name).await;
        let in_catalog = target.get(format!("/v1/health/checks/{name}")).await.ok();
        assert_eq!(in_catalog.as_array().map(Vec::len), Some(1), "{query}");
    }
}

async fn a_separate_check_joins_a_service(target: &Target) {
    let name = target.unique("joined");
    target.register(&json!({ "Name": name, "Tags": ["t"] })).await;
    let check = json!({ "ID": format!("{name}!"), "Name": "more", "TTL": "1h",
                        "ServiceID": name, "Status": "warning" });
    target.put_json("/v1/agent/check/register", &check).await.is(200, "");
    target.settled(&name).await;
    let checks = target.get(format!("/v1/health/checks/{name}")).await.ok();
    assert_eq!((&checks[0]["Name"], &checks[0]["ServiceTags"]), (&json!("more"), &json!(["t"])));
    target.put(format!("/v1/agent/check/deregister/{name}!")).await.is(200, "");
    target.settled(&name).await;
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([]));
}

async fn a_separate_check_may_belong_to_the_node(target: &Target) {
    target.register(&json!({ "Name": "web" })).await;
    let check = json!({ "Name": "disk space", "TTL": "1h", "Notes": "df", "Status": "passing" });
    target.put_json("/v1/agent/check/register", &check).await.is(200, "");
    // Without an id, the name is the id.
    let mut expected = json!({
        "Node": NODE,
        "CheckID": "disk space",
        "Name": "disk space",
        "Status": "passing",
        "Notes": "df",
        "Output": "",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "ttl",
        "Definition": {},
        "CreateIndex": 0,
        "ModifyIndex": 0,
    });
    like(&target.check("disk space").await, &expected);
    expected["CreateIndex"] = json!("<index>");
    expected["ModifyIndex"] = json!("<index>");
    // It is a check of every service of the node.
    target
        .until("in the catalog", || async {
            let entries = target.get("/v1/health/service/web").await.ok();
            entries[0]["Checks"].as_array().is_some_and(|checks| {
                checks.iter().any(|check| differences(check, &expected).is_empty())
            })
        })
        .await;
    target.put("/v1/agent/check/fail/disk%20space").await.is(200, "");
    target
        .until("not passing", || async { target.instances("web?passing").await.is_empty() })
        .await;
    target.put("/v1/agent/check/deregister/disk%20space").await.is(200, "");
    assert_eq!(target.check("disk space").await, Value::Null);
    target.until("passing", || async { target.instances("web?passing").await == ["web"] }).await;
}

async fn a_check_keeps_the_tags_of_its_registration(target: &Target) {
    let name = target.unique("tags");
    let check = format!("service:{name}");
    target.register(&json!({ "Name": name, "Tags": ["old"], "Check": { "TTL": "1h" } })).await;
    target.register(&json!({ "Name": name, "Tags": ["new"] })).await;
    assert_eq!(target.check(&check).await["ServiceTags"], json!(["old"]), "a zombie's stay");
    target.register(&json!({ "Name": name, "Tags": ["new"], "Check": { "TTL": "1h" } })).await;
    assert_eq!(target.check(&check).await["ServiceTags"], json!(["new"]));
}
