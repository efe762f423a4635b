//! Pages of reports, as they are printed.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{Explanation, Origin, Snapshot, watch::Remarks};

fn page(report: Value) -> String {
    serde_json::from_value::<Report>(report).unwrap().to_string()
}

fn line(port: u16, rank: &Value) -> Value {
    json!({
        "address": format!("10.0.0.1:{port}"), "id": format!("web-{port}"), "node": "larry", "status": "passing", "weight": 1,
        "rank": rank, "latency_ms": null, "in_flight": 0, "ejected_for_ms": null, "reserve_for_ms": null,
    })
}

fn headline(ranks: &[Value]) -> String {
    let lines: Vec<_> = ranks.iter().map(|rank| line(80, rank)).collect();
    let snapshot = json!({ "origin": "catalog", "index": 7, "age_ms": 12 });
    let report =
        json!({ "service": "web", "snapshot": snapshot, "failure": null, "instances": lines });
    page(report).lines().next().unwrap().to_owned()
}

#[test]
fn the_first_line_is_where_the_next_call_goes() {
    for (ranks, expected) in [
        (&["passing", "passing", "ejected"][..], "goes to one of 2 passing instances"),
        (&["passing"], "goes to its only passing instance"),
        (&["warning", "spare"], "goes to its only warning instance: none is passing"),
        (&["spare", "ejected"], "goes to its only weight 0 instance: there is no other"),
        (
            &["ejected", "ejected", "reserve"],
            "goes to one of 2 ejected instances: all are ejected, so none is left out",
        ),
        (
            &["reserve"],
            "goes to its only recently healthy instance: Consul has no healthy instance",
        ),
        (&["", ""], "fails: all 2 instances are critical or in maintenance"),
        (&[""], "fails: its only instance is critical or in maintenance"),
        (&[], "fails: there is no instance"),
    ] {
        let ranks =
            ranks.iter().map(|rank| if rank.is_empty() { Value::Null } else { json!(rank) });
        let ranks: Vec<_> = ranks.collect();
        assert_eq!(headline(&ranks), format!("web: the next call {expected}"));
    }
}

#[test]
fn all_that_is_known_is_on_the_page() {
    let mut measured = line(80, &json!("passing"));
    measured["latency_ms"] = json!(1.26);
    measured["in_flight"] = json!(3);
    measured["checks"] = json!([{"name": "Serf Health Status", "status": "passing", "output": "Agent alive and reachable"}]);
    let mut ejected = line(81, &json!("ejected"));
    ejected["ejected_since_ms"] = json!(3_400);
    ejected["ejected_for_ms"] = json!(900);
    ejected["ejected_because"] = json!("5 failures in a row");
    let mut due = ejected.clone();
    due["ejected_for_ms"] = json!(0);
    let mut reserve = line(82, &json!("reserve"));
    reserve["reserve_for_ms"] = json!(59_000);
    let mut never = line(83, &Value::Null);
    never["in_flight"] = Value::Null;
    never["status"] = json!("critical");
    never["checks"] = json!([{"name": "Service 'web' check", "status": "critical", "output": ""}]);
    insta::assert_snapshot!(page(json!({
        "service": "web",
        "snapshot": { "origin": "catalog", "index": 7, "age_ms": 150_000, "filtered_by_acls": true },
        "failure": "no agent can be reached at 127.0.0.1:8500",
        "instances": [measured, ejected, due, reserve, never],
        "left_out": [{ "node": "moe", "id": "web-9", "why": "it has no port, so it can't be called" }],
    })));
}

#[test]
fn an_answer_that_acls_filtered_is_reported_as_such() {
    let at = Instant::now();
    for hides in [false, true] {
        let remarks = Arc::new(Remarks { is_filtered_by_acls: hides, ..Remarks::default() });
        let snapshot = Snapshot { remarks, ..Snapshot::new([], Origin::Catalog, at) };
        let explanation =
            Explanation { service: "web".into(), at, watched: snapshot.into(), instances: vec![] };
        assert_eq!(explanation.to_string().contains("ACLs hide further instances"), hides);
        let json = serde_json::to_value(&explanation).unwrap();
        assert_eq!(json["snapshot"]["filtered_by_acls"], json!(hides));
    }
}

#[test]
fn a_report_without_an_answer_has_a_page() {
    let report = json!({ "service": "web", "snapshot": null, "failure": null, "instances": [] });
    assert_eq!(page(report), "web: the next call fails: no answer yet\nThere was no answer yet.\n");
}

#[test]
fn a_report_of_a_snapshot_from_disk_says_so_and_how_old_it_is() {
    let (minute, hour) = (60_000, 3_600_000_u64);
    for (age_ms, age) in [
        (12, "12 ms"),
        (3_400, "3.4 s"),
        (5 * minute, "5 min"),
        (119 * minute, "119 min"),
        (3 * hour, "3 h"),
        (47 * hour, "47 h"),
        (48 * hour, "2 days"),
        (167 * hour, "6 days"),
    ] {
        let report = json!({
            "service": "web", "snapshot": { "origin": "disk", "index": 0, "age_ms": age_ms },
            "failure": "no agent can be reached at 127.0.0.1:8500", "instances": [line(80, &json!("passing"))],
        });
        let page = page(report);
        let lines: Vec<_> = page.lines().take(3).collect();
        let expected = [
            "web: the next call goes to its only passing instance".to_owned(),
            format!("From disk, {age} old: Consul has not answered since the start."),
            "The last query failed: no agent can be reached at 127.0.0.1:8500".to_owned(),
        ];
        assert_eq!(lines, expected);
    }
}
