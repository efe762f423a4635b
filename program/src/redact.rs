//! Hides users and passwords in texts about addresses.

use std::borrow::Cow;

/// The text with everything between the start of a word (or its `://`) and its last `@` replaced by `…`.
pub(crate) fn without_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return text.into();
    }
    let is_end = |c: char| c.is_whitespace() || c == '\'' || c == '"';
    text.split_inclusive(is_end).map(word).collect::<String>().into()
}

fn word(word: &str) -> Cow<'_, str> {
    let Some((before, host)) = word.rsplit_once('@') else { return word.into() };
    let start = match before.find("://") {
        Some(at) => at + "://".len(),
        None => before.find('=').map_or(0, |at| at + 1),
    };
    format!("{}…@{host}", &before[..start]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_hidden() {
        for (text, shown) in [
            ("unexpected argument 'web' found", "unexpected argument 'web' found"),
            ("argument 'http://u:secret@c:1' found\n", "argument 'http://…@c:1' found\n"),
            ("--http-addr is \"u:se@cret@c:1\": no", "--http-addr is \"…@c:1\": no"),
            ("'--http=u:secret@c:1'", "'--http=…@c:1'"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
