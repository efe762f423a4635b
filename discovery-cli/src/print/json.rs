//! JSON, safe to print on a terminal.

use std::{borrow::Cow, fmt::Write};

use program::printable;
use serde_json::Value;

/// A value on one line. Control characters in strings are escaped, also those that JSON allows unescaped; a JSON parser
/// reads the same value.
pub(crate) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for character in value.to_string().chars() {
        // All of them are below U+10000, so one \u is enough.
        match printable(character.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(_) => line.push(character),
            Cow::Owned(_) => {
                write!(line, "\\u{:04x}", u32::from(character))
                    .expect("writing to a String never fails");
            }
        }
    }
    line + "\n"
}

/// The value with all strings safe to print as text.
pub(crate) fn printable_value(value: Value) -> Value {
    match value {
        Value::String(text) => printable(&text).into(),
        Value::Array(values) => values.into_iter().map(printable_value).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, printable_value(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_characters_in_json_are_escaped_without_changing_the_value() {
        let value =
            json!({ "id": "\x1b[2J\u{9b}2J\x7f\u{202e}", "tags": ["längere \"Straße\"\n"] });
        let line = json_line(&value);
        assert_eq!(
            line,
            "{\"id\":\"\\u001b[2J\\u009b2J\\u007f\\u202e\",\"tags\":[\"längere \\\"Straße\\\"\\n\"]}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
