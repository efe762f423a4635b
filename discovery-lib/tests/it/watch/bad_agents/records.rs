//! A record that can't be used, in an answer with others: these stay, and it is named.

use serde_json::{Value, json};

use super::*;

/// Fields of the record between two usable ones, in place of usable values; `None` for a record that is this value.
struct Record(Option<&'static str>, Value);

/// The record, and the status with which it is used, or `node id: why` if it is left out.
type RecordRow = (Record, Result<&'static str, &'static str>);

/// A field of `Service`.
fn service(name: &'static str, value: Value) -> Record {
    let mut fields = json!({"ID": "web-82", "Service": "web", "Address": "10.0.0.1", "Port": 82});
    fields[name] = value;
    Record(Some("Service"), fields)
}

fn checks(status: &str) -> Record {
    Record(Some("Checks"), json!([{"Node": "n", "CheckID": "c", "Name": "c", "Status": status}]))
}

impl Record {
    fn json(self) -> String {
        let Self(Some(field), value) = self else { return self.1.to_string() };
        let mut whole: Value = serde_json::from_str(&record(82)).unwrap();
        whole[field] = value;
        whole.to_string()
    }
}

fn rows() -> Vec<RecordRow> {
    let huge = "x".repeat(1 << 20);
    vec![
        (service("Port", json!(0)), Err("n web-82: it has no port, so it can't be called")),
        (service("Port", json!(-1)), Err("n web-82: -1 is not a port: a port is 0 to 65535")),
        (
            service("Port", json!(70_000)),
            Err("n web-82: 70000 is not a port: a port is 0 to 65535"),
        ),
        (service("Port", json!("82")), Err("n web-82: invalid type: string \"82\", expected i64")),
        (
            service("Port", json!(1e300)),
            Err("n web-82: invalid type: floating point `1e+300`, expected i64"),
        ),
        (service("Address", json!("")), Err("n web-82: neither it nor its node has an address")),
        (
            service("Address", json!("0.0.0.0")),
            Err("n web-82: 0.0.0.0 is not the address of a host"),
        ),
        (
            service("Address", json!("a b")),
            Err("n web-82: \"a b\" is neither an IP address nor a host name"),
        ),
        (
            service("ID", json!("web-80")),
            Err("n web-80: the answer has an instance of this node and id already"),
        ),
        (service("Service", json!("db")), Err("n web-82: it is an instance of \"db\"")),
        (
            service("Tags", json!("a")),
            Err("n web-82: invalid type: string \"a\", expected a sequence"),
        ),
        (service("Tags", Value::Null), Ok("passing")),
        (service("Meta", Value::Null), Ok("passing")),
        (service("Meta", json!({"k": huge})), Ok("passing")),
        (service("Weights", Value::Null), Ok("passing")),
        (service("Weights", json!({"Passing": -1})), Ok("passing")),
        (service("Unknown", json!({"a": [1]})), Ok("passing")),
        (checks("warning"), Ok("warning")),
        (checks("unknown"), Ok("critical")),
        (checks(""), Ok("critical")),
        (Record(Some("Checks"), Value::Null), Ok("passing")),
        (
            Record(Some("Service"), Value::Null),
            Err("n : invalid type: null, expected struct Service"),
        ),
        (
            Record(Some("Node"), Value::Null),
            Err(" web-82: invalid type: null, expected struct Node"),
        ),
        (Record(None, json!({})), Err(" : missing field `Node`")),
        (Record(None, json!(7)), Err(" : invalid type: integer `7`, expected struct ServiceEntry")),
        (Record(None, Value::Null), Err(" : invalid type: null, expected struct ServiceEntry")),
    ]
}

#[tokio::test]
async fn a_record_that_can_not_be_used_leaves_the_others_and_is_named() {
    for (odd, expected) in rows() {
        let odd = odd.json();
        let body = format!("[{},{odd},{}]", record(80), record(81));
        let answer = response(200, "X-Consul-Index: 7\r\n", &body);
        let agent = Scripted::start(Act::Serve(7, answer)).await.unwrap();
        let mut watch = discovery(&agent).watch("web");
        let watched = until(&mut watch, |watched| watched.snapshot.is_some()).await;

        let used = expected.map(|status| format!("10.0.0.1:82 {status}"));
        let all = ["10.0.0.1:80 passing".to_owned(), "10.0.0.1:81 passing".to_owned()];
        let all: Vec<_> = all.into_iter().chain(used.clone().ok()).collect();
        let odd = &odd[..odd.len().min(200)];
        assert_eq!(shown(&watched), all, "{odd}");
        let snapshot = watched.snapshot.unwrap();
        let left_out =
            snapshot.left_out().iter().map(|it| format!("{} {}: {}", it.node, it.id, it.why));
        assert_eq!(left_out.collect::<Vec<_>>(), used.err().as_slice(), "{odd}");
    }
}
