//! One question to an agent, before it is sent: method, path, query, body, deadline.

use std::time::Duration;

use consul_wire::query;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Question;
use crate::error::{Error, Kind};

/// All but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// With its query; everything escaped.
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
    /// From the first byte sent, connecting included, to the last one read.
    pub(super) deadline: Duration,
}

impl Request {
    pub(super) fn get(path: &str, deadline: Duration) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: None, deadline }
    }

    pub(super) fn put(path: &str, deadline: Duration) -> Self {
        Self { method: Method::PUT, ..Self::get(path, deadline) }
    }

    /// One more segment at the end of the path.
    ///
    /// # Errors
    /// For a segment that no path can carry: none at all, `.` and `..`.
    pub(super) fn segment(mut self, segment: &str) -> Result<Self, Error> {
        if matches!(segment, "" | "." | "..") {
            let text =
                format!("{segment:?} can't be a name or an id in Consul: no URL can carry it");
            return Err(Error::new(Kind::Setting, text));
        }
        self.path.push('/');
        self.path.extend(utf8_percent_encode(segment, ESCAPED));
        Ok(self)
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(key);
        if !value.is_empty() {
            self.path.push('=');
            self.path.extend(utf8_percent_encode(value, ESCAPED));
        }
        self
    }

    pub(super) fn query_if_any(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// The options of a read, and the deadline that they imply.
    pub(super) fn question(mut self, question: &Question) -> Self {
        if let Some((index, wait)) = question.waits() {
            self.deadline = question.deadline(self.deadline);
            self = self
                .query(query::INDEX, &index.to_string())
                .query(query::WAIT, &format!("{}ms", wait.as_millis().max(1)));
        }
        if question.stale {
            self = self.query(query::STALE, "");
        }
        self.query_if_any(query::DATACENTER, question.datacenter.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Request {
        Request::get(path, Duration::from_secs(1))
    }

    #[test]
    fn segments_and_values_are_escaped() {
        for (segment, path) in [
            ("web-1.a_b~", "/v1/x/web-1.a_b~"),
            ("a/b", "/v1/x/a%2Fb"),
            ("a b?c=d&e#f", "/v1/x/a%20b%3Fc%3Dd%26e%23f"),
            ("käse%", "/v1/x/k%C3%A4se%25"),
            ("service:web", "/v1/x/service%3Aweb"),
        ] {
            assert_eq!(get("/v1/x").segment(segment).unwrap().path, path);
        }
        assert_eq!(get("/v1/x").query("a", "").query("b", "c d").path, "/v1/x?a&b=c%20d");
    }

    #[test]
    fn segments_that_a_url_would_swallow_are_refused() {
        for segment in ["", ".", ".."] {
            assert!(get("/v1/x").segment(segment).is_err(), "{segment:?}");
        }
    }

    #[test]
    fn a_blocking_question_may_take_its_wait_and_a_bit() {
        let asked = get("/v1/x").question(&Question {
            after: Some((7, Duration::from_secs(32))),
            stale: true,
            datacenter: Some("dc 2".into()),
        });
        assert_eq!(asked.path, "/v1/x?index=7&wait=32000ms&stale&dc=dc%202");
        assert_eq!(asked.deadline, Duration::from_secs(32 + 2 + 5));
        for wait in [Duration::from_secs(601), Duration::MAX] {
            let after = Some((7, wait));
            let asked = get("/v1/x").question(&Question { after, ..Question::default() });
            assert_eq!(asked.path, "/v1/x?index=7&wait=600000ms");
        }
        let at_once = get("/v1/x").question(&Question::default());
        assert_eq!((at_once.path.as_str(), at_once.deadline), ("/v1/x", Duration::from_secs(1)));
    }
}
