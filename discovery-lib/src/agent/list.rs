//! The text of a JSON list, record by record.

use serde::de::IgnoredAny;

/// A text that is not one JSON list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAList;

/// A list that is read from the front.
#[derive(Debug)]
pub(super) struct List<'a> {
    rest: &'a [u8],
    is_at_start: bool,
}

impl<'a> List<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, NotAList> {
        let rest = without_space(text).strip_prefix(b"[").ok_or(NotAList)?;
        Ok(Self { rest, is_at_start: true })
    }

    /// The text of all records.
    pub(super) fn records(mut self) -> Result<Vec<&'a [u8]>, NotAList> {
        let mut records = Vec::new();
        while let Some(rest) = self.advance()? {
            let record = &rest[..value_len(rest)?];
            self.pass(record.len());
            records.push(record);
        }
        Ok(records)
    }

    /// Moves to the next record. Returns the text from there on; none at the end of the list. [`List::pass`] follows.
    pub(super) fn advance(&mut self) -> Result<Option<&'a [u8]>, NotAList> {
        let is_at_start = std::mem::replace(&mut self.is_at_start, false);
        self.rest = without_space(self.rest);
        match self.rest {
            [b']', after @ ..] if without_space(after).is_empty() => return Ok(None),
            [b']', ..] => return Err(NotAList),
            _ if is_at_start => {}
            [b',', after @ ..] => self.rest = without_space(after),
            _ => return Err(NotAList),
        }
        Ok(Some(self.rest))
    }

    /// Passes the next record, which has this length.
    pub(super) fn pass(&mut self, len: usize) {
        self.rest = &self.rest[len..];
    }
}

/// The length of the JSON value at the start of a text.
pub(super) fn value_len(text: &[u8]) -> Result<usize, NotAList> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(IgnoredAny)) => Ok(values.byte_offset()),
        Some(Err(_)) | None => Err(NotAList),
    }
}

fn without_space(text: &[u8]) -> &[u8] {
    let space = text.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    &text[space.count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_into_the_texts_of_its_records_or_is_none() {
        for (text, records) in [
            ("[]", Some(&[] as &[&str])),
            (" [ \r\n\t] ", Some(&[])),
            ("[1]", Some(&["1"])),
            ("[1 , \"a]\" ,\n{ } ]\n", Some(&["1", "\"a]\"", "{ }"])),
            (r#"[{"a":"\"},{"},[[],{}]]"#, Some(&[r#"{"a":"\"},{"}"#, "[[],{}]"])),
            (r#"["é\\",null,true]"#, Some(&[r#""é\\""#, "null", "true"])),
            ("", None),
            ("null", None),
            ("{}", None),
            ("[", None),
            ("[1", None),
            ("[1,", None),
            ("[,1]", None),
            ("[1,]", None),
            ("[1 2]", None),
            ("[{}{}]", None),
            ("[{]", None),
            ("[\"a]", None),
            ("[][]", None),
            ("[1]]", None),
            ("\u{feff}[]", None),
            ("\u{c}[]", None),
        ] {
            let split = List::new(text.as_bytes()).and_then(List::records).ok();
            let expected = records.map(|it| it.iter().map(|it| it.as_bytes()).collect::<Vec<_>>());
            assert_eq!(split, expected, "{text:?}");
        }
    }
}
