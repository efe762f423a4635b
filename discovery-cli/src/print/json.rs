//! JSON for programs, which may be read on a terminal all the same.

use std::{borrow::Cow, fmt::Write};

use program::printable;
use serde_json::Value;

/// A value on a line. Characters in strings that would command a terminal are escaped, also those that JSON allows as they are; whoever
/// reads it as JSON reads the same.
pub(crate) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for character in value.to_string().chars() {
        // All of them fit into one \u.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_json_commands_no_terminal_and_says_the_same() {
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
