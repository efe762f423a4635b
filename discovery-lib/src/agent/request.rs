//! One request to an agent, before it is sent: method, path, query string, body, deadline.

use std::time::Duration;

use consul_wire::query::{self, PASSING, TAG};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ReadOptions;
use crate::{
    Consistency, Include, Query,
    error::{Error, Kind},
};

/// All characters but the unreserved ones of RFC 3986, section 2.3.
pub(crate) const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Keys of the query string that this library alone sends.
const NODE_META: &str = "node-meta";
const FILTER: &str = "filter";
const NEAR: &str = "near";

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// With its query string; everything escaped.
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
    /// From the start of the connection attempt to the last byte read.
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
    /// For a segment that a path can't contain: an empty one, `.` and `..`.
    pub(super) fn segment(mut self, segment: &str) -> Result<Self, Error> {
        if matches!(segment, "" | "." | "..") {
            let text = format!("{segment:?} can't be used as a name or an id in a URL");
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
    pub(super) fn read(mut self, options: &ReadOptions) -> Self {
        if let Some((index, wait)) = options.waits() {
            self.deadline = options.deadline(self.deadline);
            self = self
                .query(query::INDEX, &index.to_string())
                .query(query::WAIT, &format!("{}ms", wait.as_millis().max(1)));
        }
        self = match options.consistency {
            Consistency::Stale => self.query(query::STALE, ""),
            Consistency::Default => self,
            Consistency::Consistent => self.query(query::CONSISTENT, ""),
            Consistency::Cached => self.query(query::CACHED, ""),
        };
        self.query_if_any(query::DATACENTER, options.datacenter.as_deref())
    }

    /// The conditions that narrow the instances of a service.
    pub(super) fn narrow(mut self, query: &Query) -> Self {
        for tag in &query.tags {
            self = self.query(TAG, tag);
        }
        for (key, value) in &query.node_meta {
            self = self.query(NODE_META, &format!("{key}:{value}"));
        }
        if query.include == Include::Passing {
            self = self.query(PASSING, "");
        }
        self.query_if_any(FILTER, query.filter.as_deref()).near(query)
    }

    /// The node that instances are sorted by distance to.
    pub(super) fn near(self, query: &Query) -> Self {
        self.query_if_any(NEAR, query.near.as_deref())
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
    fn segments_that_a_url_would_drop_are_refused() {
        for segment in ["", ".", ".."] {
            assert!(get("/v1/x").segment(segment).is_err(), "{segment:?}");
        }
    }

    #[test]
    fn a_blocking_query_may_take_its_wait_and_slack() {
        let options = ReadOptions::new().after(7, Duration::from_secs(32)).datacenter("dc 2");
        let sent = get("/v1/x").read(&options);
        assert_eq!(sent.path, "/v1/x?index=7&wait=32000ms&stale&dc=dc%202");
        assert_eq!(sent.deadline, Duration::from_secs(32 + 2 + 5));
        for wait in [Duration::from_secs(601), Duration::MAX] {
            let options = ReadOptions::new().after(7, wait).consistency(Consistency::Default);
            assert_eq!(get("/v1/x").read(&options).path, "/v1/x?index=7&wait=600000ms");
        }
        let options = ReadOptions::new().consistency(Consistency::Cached);
        assert_eq!(get("/v1/x").read(&options).path, "/v1/x?cached");
        let options = ReadOptions::new().consistency(Consistency::Consistent);
        let at_once = get("/v1/x").read(&options);
        assert_eq!(at_once.path, "/v1/x?consistent");
        assert_eq!(at_once.deadline, Duration::from_secs(1));
    }

    #[test]
    fn each_part_of_a_query_is_sent() {
        let query = Query::new("web").tag("b").tag("a").filter("Service.Port == 80");
        let query = query.node_meta("zone", "a b").near("_agent").only_passing();
        let sent = "/v1/x?tag=a&tag=b&node-meta=zone%3Aa%20b&passing&filter=Service.Port%20%3D%3D%2080&near=_agent";
        assert_eq!(get("/v1/x").narrow(&query).path, sent);
        assert_eq!(get("/v1/x").narrow(&Query::new("web")).path, "/v1/x");
    }
}
