//! Escapes control characters in text from other systems before it is printed on a terminal.

use std::{borrow::Cow, fmt::Write};

/// The text with each control character and each bidirectional formatting character (<https://unicode.org/reports/tr9/>) escaped as in a
/// Rust string: `\u{1b}`, `\n`. Ids, tags and reasons come from other programs; unescaped, they could move the cursor, hide a line or set
/// the title of a window.
///
/// ```
/// # use program::printable;
/// assert_eq!(printable("web-1"), "web-1");
/// assert_eq!(printable("web\x1b[2J"), r"web\u{1b}[2J");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match is_control(character) {
            true => write!(shown, "{}", character.escape_default())
                .expect("writing to a String never fails"),
            false => shown.push(character),
        }
    }
    shown.into()
}

fn is_control(character: char) -> bool {
    let changes_direction = matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || changes_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_others_kept() {
        for (text, shown) in [
            ("", ""),
            ("längere Straße, 東京, 🦀", "längere Straße, 東京, 🦀"),
            ("a\\b", "a\\b"),
            ("\x1b[31mred\x1b[0m", r"\u{1b}[31mred\u{1b}[0m"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("one\r\ntwo\t", r"one\r\ntwo\t"),
            ("\x7f\u{202e}txt.exe\u{2069}", r"\u{7f}\u{202e}txt.exe\u{2069}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
