//! What was made of the records of the last answer, so that a record that did not change is neither parsed nor converted again.
//!
//! A change of one instance makes Consul send all of them. Where a record is expected, its old text is looked for first: an object ends with its
//! own brace, so a text that begins with a known record has that record, and its end is known without a parser.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use super::list::{List, value_len};

/// The records of the last answer, and what was made of them.
#[derive(Debug)]
pub(crate) struct LastAnswer<T> {
    keys: [RandomState; 2],
    records: Vec<Known<T>>,
}

#[derive(Debug, Clone)]
struct Known<T> {
    print: Fingerprint,
    value: T,
}

/// Stands for the text of a record, which is some fifty times as long.
///
/// Another text with the same fingerprint would be taken for the record. The hashes are SipHash with random keys, and neither leaves the process.
/// So not even the author of a record can search for such a text: any other one is taken for it with a probability of about 2^-128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint {
    len: usize,
    hashes: [u64; 2],
}

/// The known records while an answer is read.
struct Recall<'a, T> {
    last: &'a LastAnswer<T>,
    /// The place of the record that comes next if nothing was added, removed or moved.
    expected: usize,
    /// Built when a record is not at its expected place.
    places: Option<HashMap<Fingerprint, usize>>,
}

impl<T> Default for LastAnswer<T> {
    fn default() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], records: Vec::new() }
    }
}

impl<T: Clone> LastAnswer<T> {
    /// The values of the records of this list, in its order: what `make` made of the same text in the last answer, or else makes of it now. It
    /// gets the text, and the value of the record before. None if this is no list, or `make` refuses a record: then the last answer stays.
    ///
    /// `make` accepts objects and lists only, which have an end of their own: `1` is also the start of `12`.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        mut make: impl FnMut(&[u8], Option<&T>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut list = List::new(text).ok()?;
        let mut recall = Recall { last: self, expected: 0, places: None };
        let mut records: Vec<Known<T>> = Vec::with_capacity(self.records.len());
        while let Some(rest) = list.advance().ok()? {
            let record = match recall.expected(rest) {
                Some(known) => known.clone(),
                None => {
                    let text = &rest[..value_len(rest).ok()?];
                    let print = self.print(text);
                    let before = records.last().map(|record| &record.value);
                    let make = || Some(Known { print, value: make(text, before)? });
                    recall.find(print).cloned().or_else(make)?
                }
            };
            list.pass(record.print.len);
            records.push(record);
        }
        self.records = records;
        Some(self.records.iter().map(|record| record.value.clone()).collect())
    }

    fn print(&self, text: &[u8]) -> Fingerprint {
        let hashes = self.keys.each_ref().map(|key| key.hash_one(text));
        Fingerprint { len: text.len(), hashes }
    }
}

impl<'a, T: Clone> Recall<'a, T> {
    /// The record at the expected place, if this text begins with it.
    fn expected(&mut self, text: &[u8]) -> Option<&'a Known<T>> {
        let known = self.last.records.get(self.expected)?;
        let start = text.get(..known.print.len)?;
        if self.last.print(start) != known.print {
            return None;
        }
        self.expected += 1;
        Some(known)
    }

    /// The record of this text at any place.
    fn find(&mut self, print: Fingerprint) -> Option<&'a Known<T>> {
        let records = &self.last.records;
        let places = self.places.get_or_insert_with(|| {
            records.iter().enumerate().map(|(place, known)| (known.print, place)).collect()
        });
        let found = places.get(&print).copied();
        // One that is not known most likely replaces the expected one.
        self.expected = found.unwrap_or(self.expected) + 1;
        found.map(|place| &records[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After an answer of these records, `then` is read: the records of which something was made, or none if it is refused. 0 is refused.
    #[track_caller]
    fn check(first: &str, then: &str, expected: Option<&[&str]>) {
        let mut last = LastAnswer::default();
        let mut read = |text: &str| {
            let mut made = Vec::new();
            let values = last.read(text.as_bytes(), |record, _| {
                let record = String::from_utf8(record.to_vec()).unwrap();
                made.push(record.clone());
                (record != "0").then_some(record)
            });
            values.map(|values| (values, made))
        };
        read(first);
        let read = read(then);
        if let Some((values, _)) = &read {
            let spaceless = |text: &str| text.replace(' ', "");
            assert_eq!(format!("[{}]", spaceless(&values.join(","))), spaceless(then));
        }
        let made = read.map(|(_, made)| made);
        let expected = expected.map(|made| made.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(made, expected, "{first} {then}");
    }

    const ABC: &str = r#"[{"a":1},{"b":2},{"c":3}]"#;

    #[test]
    fn only_a_record_that_the_last_answer_did_not_have_is_made() {
        for (then, made) in [
            (ABC, &[] as &[&str]),
            (r#" [ {"a":1} , {"b":2} ,{"c":3}] "#, &[]),
            (r#"[{"a":1},{"b":7},{"c":3}]"#, &[r#"{"b":7}"#]),
            (r#"[{"a":1},{"b":20},{"c":3}]"#, &[r#"{"b":20}"#]),
            (r#"[{"a":1},{"b": 2},{"c":3}]"#, &[r#"{"b": 2}"#]),
            (r#"[{"a":1},{"c":3}]"#, &[]),
            (r#"[{"b":2},{"c":3}]"#, &[]),
            (r#"[{"a":1},{"x":[]},{"b":2},{"c":3}]"#, &[r#"{"x":[]}"#]),
            (r#"[{"c":3},{"b":2},{"a":1}]"#, &[]),
            (r#"[{"a":1},{"a":1},{"c":3},{"c":3}]"#, &[]),
            (r#"[[{"a":1}],{"b":2}]"#, &[r#"[{"a":1}]"#]),
            ("[]", &[]),
        ] {
            check(ABC, then, Some(made));
        }
        check("[]", ABC, Some(&[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]));
    }

    #[test]
    fn an_answer_that_is_refused_does_not_replace_the_last_one() {
        for refused in ["", "null", "[0]", r#"[{"x":1},0]"#, r#"[{"a":1}"#, r#"[{"a":1}]]"#] {
            check(ABC, refused, None);
            let mut last = LastAnswer::default();
            let make = |text: &[u8], _: Option<&()>| (text != b"0").then_some(());
            last.read(ABC.as_bytes(), make).unwrap();
            last.read(refused.as_bytes(), make);
            let again = last.read(ABC.as_bytes(), |_, _| None);
            assert_eq!(again.map(|it| it.len()), Some(3), "{refused}");
        }
    }
}
