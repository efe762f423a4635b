//! Registrations that are refused, with Consul's exact texts: users search for them.

use serde_json::{Value, json};
use testkit::http::Request;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(invalid_bodies),
    row!(unknown_fields),
    row!(values_of_the_wrong_kind),
    row!(a_service_without_a_name),
    row!(invalid_addresses),
    row!(invalid_ports).ours_is_better("an invalid port is refused, not cut to 16 bits in DNS"),
    row!(invalid_weights),
    row!(invalid_meta),
    row!(invalid_checks),
    row!(checks_of_unknown_services),
    row!(a_refused_registration_changes_nothing),
];

const SERVICE: &str = "/v1/agent/service/register";
const CHECK: &str = "/v1/agent/check/register";

async fn refused(target: &Target, path: &str, cases: &[(Value, &str)]) {
    for (body, text) in cases {
        let answer = target.put_json(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, *text), "{body}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

async fn invalid_bodies(target: &Target) {
    for path in [SERVICE, CHECK] {
        let cases = [
            ("", "Request decode failed: EOF"),
            ("{", "Request decode failed: unexpected EOF"),
            ("{\"Name\":\"x\"", "Request decode failed: unexpected EOF"),
        ];
        for (body, text) in cases {
            target.ask(Request::put(path).body(body)).await.is(400, text);
        }
    }
}

async fn unknown_fields(target: &Target) {
    let unknown = "Request decode failed: json: unknown field \"Bogus\"";
    let cases = [
        (json!({ "Name": "x", "Bogus": 1 }), unknown),
        (json!({ "Name": "x", "Check": { "TTL": "1h", "Bogus": 1 } }), unknown),
        (json!({ "Name": "x", "Checks": [{ "TTL": "1h", "Bogus": 1 }] }), unknown),
        (json!({ "Name": "x", "Weights": { "Passing": 1, "Bogus": 1 } }), unknown),
        // Known under other names, or in other editions.
        (
            json!({ "Name": "x", "Check": { "check_id": "y", "TTL": "1h" } }),
            "Request decode failed: json: unknown field \"check_id\"",
        ),
        (
            json!({ "Name": "x", "Namespace": "default" }),
            "Request decode failed: json: unknown field \"Namespace\"",
        ),
    ];
    refused(target, SERVICE, &cases).await;
    let cases = [
        (json!({ "Name": "x", "TTL": "1h", "Bogus": 1 }), unknown),
        // A separate check has `ID` instead.
        (
            json!({ "Name": "x", "TTL": "1h", "CheckID": "y" }),
            "Request decode failed: json: unknown field \"CheckID\"",
        ),
    ];
    refused(target, CHECK, &cases).await;
}

/// Only the beginning of the text: the rest is about Go's types.
async fn values_of_the_wrong_kind(target: &Target) {
    let cases = [
        json!([]),
        json!("x"),
        json!({ "Name": 1 }),
        json!({ "Name": "x", "Port": "80" }),
        json!({ "Name": "x", "Tags": "a" }),
        json!({ "Name": "x", "Meta": { "a": 1 } }),
        json!({ "Name": "x", "Check": [] }),
    ];
    for body in cases {
        let answer = target.put_json(SERVICE, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().starts_with("Request decode failed: json: "), "{}", answer.text());
    }
}

async fn a_service_without_a_name(target: &Target) {
    let missing = "Missing service name";
    let cases = [
        (json!({}), missing),
        (json!(null), missing),
        (json!({ "ID": "x" }), missing),
        (json!({ "Name": "" }), missing),
        (json!({ "Name": null }), missing),
    ];
    refused(target, SERVICE, &cases).await;
}

async fn invalid_addresses(target: &Target) {
    let cases = ["0.0.0.0", "::", "[::]"]
        .map(|address| (json!({ "Name": "x", "Address": address }), "Invalid service address"));
    refused(target, SERVICE, &cases).await;
}

async fn invalid_ports(target: &Target) {
    for port in [70_000, -1] {
        let name = target.unique("port");
        let tagged = json!({ "lan": { "Address": "10.0.0.1", "Port": port } });
        let cases = [
            json!({ "Name": name, "Port": port }),
            json!({ "Name": name, "TaggedAddresses": tagged }),
        ];
        for service in cases {
            let answer = target.put_json(SERVICE, &service).await;
            if target.is_real() {
                answer.is(200, "");
            } else {
                answer.is(400, &format!("Invalid service port {port}"));
            }
        }
    }
}

async fn invalid_weights(target: &Target) {
    let none = "Invalid Weights: Passing must be greater than 0";
    let range = "Invalid Weights: DNS Weight must be between 0 and 65535";
    let cases = [
        (json!({ "Passing": 0, "Warning": 1 }), none),
        (json!({ "Passing": -1 }), none),
        (json!({}), none),
        (json!({ "Passing": 65536, "Warning": 1 }), range),
        (json!({ "Passing": 1, "Warning": 65536 }), range),
        (
            json!({ "Passing": 1, "Warning": -1 }),
            "Invalid Weights: Warning must be greater or equal than 0",
        ),
    ]
    .map(|(weights, text)| (json!({ "Name": "x", "Weights": weights }), text));
    refused(target, SERVICE, &cases).await;
    // A missing value is 0.
    let name = target.unique("weights");
    target.register(&json!({ "Name": name, "Weights": { "Passing": 5 } })).await;
    let agent = target.get(format!("/v1/agent/service/{name}")).await.ok();
    assert_eq!(agent["Weights"], json!({ "Passing": 5, "Warning": 0 }));
}

async fn invalid_meta(target: &Target) {
    let start = "Invalid Service Meta: Couldn't load metadata pair";
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(513));
    let cases = [
        (json!({ "a.b": "x" }), format!("{start} ('a.b', 'x'): Key contains invalid characters")),
        (json!({ "": "x" }), format!("{start} ('', 'x'): Key cannot be blank")),
        (
            json!({ &long_key: "x" }),
            format!("{start} ('{long_key}', 'x'): Key is too long (limit: 128 characters)"),
        ),
        (
            json!({ "k": long_value }),
            format!("{start} ('k', '{long_value}'): Value is too long (limit: 512 characters)"),
        ),
        (
            json!({ "consul-x": "x" }),
            format!("{start} ('consul-x', 'x'): Key prefix 'consul-' is reserved for internal use"),
        ),
    ];
    for (meta, text) in cases {
        target.put_json(SERVICE, &json!({ "Name": "x", "Meta": meta })).await.is(400, &text);
    }
}

const NO_TTL: &str = "Invalid check: TTL must be > 0 for TTL checks";
const NO_INTERVAL: &str = "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks";
const NEGATIVE_OUTPUT: &str = "Invalid check: MaxOutputMaxSize must be positive";
const BOTH: &str = "Invalid check: Interval and TTL cannot both be specified";
const NO_UNIT: &str = "Request decode failed: time: missing unit in duration \"10\"";
const NO_SUCH_UNIT: &str = "Request decode failed: time: unknown unit \"x\" in duration \"1x\"";

fn bad_checks() -> [(Value, &'static str); 10] {
    [
        (json!({ "Name": "x", "TTL": "1h", "OutputMaxSize": -1 }), NEGATIVE_OUTPUT),
        (
            json!({ "Name": "x", "TCP": "h:1", "Interval": "1h", "OutputMaxSize": -4096 }),
            NEGATIVE_OUTPUT,
        ),
        (json!({ "Name": "x" }), NO_TTL),
        (json!({ "Name": "x", "TTL": "-1s" }), NO_TTL),
        (json!({ "Name": "x", "Interval": "10s" }), NO_TTL),
        (json!({ "Name": "x", "HTTP": "http://127.0.0.1:1" }), NO_INTERVAL),
        (json!({ "Name": "x", "TCP": "127.0.0.1:1" }), NO_INTERVAL),
        (json!({ "Name": "x", "TTL": "10s", "Interval": "10s" }), BOTH),
        (json!({ "Name": "x", "TTL": "10" }), NO_UNIT),
        (json!({ "Name": "x", "TTL": "1x" }), NO_SUCH_UNIT),
    ]
}

async fn invalid_checks(target: &Target) {
    refused(target, CHECK, &bad_checks()).await;
    let in_service =
        bad_checks().map(|(check, text)| (json!({ "Name": "x", "Check": check }), text));
    refused(target, SERVICE, &in_service).await;
    let in_list =
        bad_checks().map(|(check, text)| (json!({ "Name": "x", "Checks": [check] }), text));
    refused(target, SERVICE, &in_list).await;

    let status = json!({ "TTL": "1h", "Status": "fine" });
    let words = "Status for checks must 'passing', 'warning', 'critical'";
    refused(target, SERVICE, &[(json!({ "Name": "x", "Check": status }), words)]).await;
    let status = json!({ "Name": "x", "TTL": "1h", "Status": "fine" });
    refused(target, CHECK, &[(status, "Bad check status")]).await;
}

async fn checks_of_unknown_services(target: &Target) {
    refused(target, CHECK, &[(json!({ "TTL": "1h" }), "Missing check name")]).await;
    let orphan = json!({ "Name": "x", "TTL": "1h", "ServiceID": "nobody" });
    target.put_json(CHECK, &orphan).await.is(500, "ServiceID \"nobody\" does not exist");
    // The service of the server itself is in the catalog, not on the agent.
    let of_server = json!({ "Name": "x", "TTL": "1h", "ServiceID": "consul" });
    target.put_json(CHECK, &of_server).await.is(500, "ServiceID \"consul\" does not exist");
}

async fn a_refused_registration_changes_nothing(target: &Target) {
    let name = target.unique("refused");
    target.register(&json!({ "Name": name, "Port": 1 })).await;
    let bad = json!({ "Name": name, "Port": 2, "Checks": [{ "TTL": "1h" }, { "TTL": "-1s" }] });
    refused(target, SERVICE, &[(bad, NO_TTL)]).await;
    assert_eq!(target.get(format!("/v1/agent/service/{name}")).await.ok()["Port"], 1);
    target.get(format!("/v1/health/checks/{name}")).await.is_like(&json!([]));
}
