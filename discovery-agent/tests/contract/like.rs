//! Structural comparison of JSON: the same keys, types and values, except where only the kind of value is known.

use serde_json::Value;

/// The differences, one per line; empty if there are none. In the expected value these texts stand for a kind:
/// `<index>` a number from 1 up, `<number>` any number, `<uuid>`, `<text>` any text, `<any>` anything.
pub(crate) fn differences(actual: &Value, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", actual, expected, &mut found);
    found
}

fn compare(path: &str, actual: &Value, expected: &Value, found: &mut Vec<String>) {
    match (actual, expected) {
        (_, Value::String(kind)) if kind.starts_with('<') && kind.ends_with('>') => {
            if !is_a(kind, actual) {
                found.push(format!("{path}: {actual} is no {kind}"));
            }
        }
        (Value::Object(actual), Value::Object(expected)) => {
            for (key, expected) in expected {
                match actual.get(key) {
                    Some(actual) => compare(&format!("{path}/{key}"), actual, expected, found),
                    None => found.push(format!("{path}/{key}: missing")),
                }
            }
            let more = actual.keys().filter(|key| !expected.contains_key(*key));
            found.extend(more.map(|key| format!("{path}/{key}: not expected")));
        }
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            for (at, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                compare(&format!("{path}/{at}"), actual, expected, found);
            }
        }
        _ if actual == expected => {}
        _ => found.push(format!("{path}: {actual} is not {expected}")),
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "<index>" => value.as_u64().is_some_and(|index| index > 0),
        "<number>" => value.is_number(),
        "<text>" => value.is_string(),
        "<uuid>" => value.as_str().is_some_and(is_uuid),
        "<any>" => true,
        _ => panic!("no such kind: {kind}"),
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_has_its_path() {
        let check = |actual: Value, expected: Value, found: &[&str]| {
            assert_eq!(differences(&actual, &expected), found, "{actual} against {expected}");
        };
        check(json!({ "a": [1, { "b": null }] }), json!({ "a": [1, { "b": null }] }), &[]);
        check(json!({ "a": 1 }), json!({ "a": "1" }), &["/a: 1 is not \"1\""]);
        check(json!({ "a": 1 }), json!({ "b": 1 }), &["/b: missing", "/a: not expected"]);
        check(json!([1, 2]), json!([1]), &[": [1,2] is not [1]"]);
        check(json!([[1]]), json!([[2]]), &["/0/0: 1 is not 2"]);
        check(json!([7, 0]), json!(["<index>", "<index>"]), &["/1: 0 is no <index>"]);
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        check(json!([uuid, "x"]), json!(["<uuid>", "<uuid>"]), &["/1: \"x\" is no <uuid>"]);
    }
}
