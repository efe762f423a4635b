//! The query string, parsed as Consul does.

use std::{borrow::Cow, time::Duration};

use consul_wire::query::{CACHED, CONSISTENT, DATACENTER, INDEX, PASSING, STALE, WAIT};

use super::reply::{Consistency, Failure};
use crate::duration;

/// The wait of a blocking query without `wait`.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);
/// The maximum wait of a blocking query.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The pairs of a query string, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        };
        Self(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    /// The first value of this key; empty if the key has no value.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.first(key).is_some()
    }

    /// `?passing`: present and not false.
    pub(crate) fn passing(&self) -> Result<bool, Failure> {
        match self.first(PASSING) {
            None => Ok(false),
            Some("") => Ok(true),
            Some(value) => boolean(value).ok_or_else(|| Failure::bad("Invalid value for ?passing")),
        }
    }

    /// `?enable`, of maintenance.
    pub(crate) fn enable(&self) -> Result<bool, Failure> {
        let value = self
            .first(consul_wire::query::ENABLE)
            .ok_or_else(|| Failure::bad("Missing value for enable"))?;
        boolean(value).ok_or_else(|| Failure::bad(format!("Invalid value for enable: {value:?}")))
    }
}

/// Parses what Go's `ParseBool` parses.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The options of a blocking read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The last index that the client has seen; 0 for none.
    pub(crate) index: u64,
    /// The time to wait for a newer one, before jitter.
    pub(crate) wait: Duration,
    pub(crate) consistency: Consistency,
    pub(crate) cached: bool,
}

impl Options {
    /// Parses what every catalog and health endpoint accepts, and refuses what Consul refuses.
    pub(crate) fn of(query: &Query, datacenter: &str) -> Result<Self, Failure> {
        let (index, wait) = waiting(query)?;
        let consistency = consistency(query)?;
        refuse_unknown(query)?;
        refuse_elsewhere(query, datacenter)?;
        Ok(Self { index, wait, consistency, cached: query.has(CACHED) })
    }
}

/// `index` and `wait`.
pub(crate) fn waiting(query: &Query) -> Result<(u64, Duration), Failure> {
    let wait = match query.first(WAIT) {
        None | Some("") => 0,
        Some(text) => duration::parse(text).map_err(|_| Failure::bad("Invalid wait time"))?,
    };
    let index = match query.first(INDEX) {
        None | Some("") => 0,
        Some(text) => text.parse().map_err(|_| Failure::bad("Invalid index"))?,
    };
    let wait = match u64::try_from(wait) {
        Ok(0) | Err(_) => WAIT_DEFAULT,
        Ok(nanos) => Duration::from_nanos(nanos).min(WAIT_MAX),
    };
    Ok((index, wait))
}

fn consistency(query: &Query) -> Result<Consistency, Failure> {
    let conflict = |one: &str, other: &str| {
        Failure::bad(format!("Cannot specify ?{one} with ?{other}, conflicting semantics."))
    };
    let max_stale = query.first("max_stale").filter(|text| !text.is_empty());
    if let Some(text) = max_stale.filter(|text| duration::parse(text).is_err()) {
        return Err(Failure::bad(format!("Invalid max_stale value {text:?}")));
    }
    let stale = query.has(STALE) || max_stale.is_some();
    match (stale, query.has(CONSISTENT)) {
        (true, true) => Err(conflict(STALE, CONSISTENT)),
        (false, true) if query.has(CACHED) => Err(conflict(CACHED, CONSISTENT)),
        (true, false) => Ok(Consistency::Stale),
        (false, true) => Ok(Consistency::Consistent),
        (false, false) => Ok(Consistency::Leader),
    }
}

/// This agent has only its own datacenter.
pub(crate) fn refuse_elsewhere(query: &Query, datacenter: &str) -> Result<(), Failure> {
    if query.first(DATACENTER).is_some_and(|named| !named.is_empty() && named != datacenter) {
        return Err(Failure::no_path());
    }
    Ok(())
}

/// Namespaces do not exist in Consul 1.8 without Enterprise.
pub(crate) fn refuse_namespace(query: &Query) -> Result<(), Failure> {
    if query.first("ns").is_some_and(|ns| !ns.is_empty()) {
        return Err(Failure::bad(
            "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature",
        ));
    }
    Ok(())
}

/// Parameters that neither the agent's own lists nor the catalog's accept.
pub(crate) fn refuse_unknown(query: &Query) -> Result<(), Failure> {
    refuse_namespace(query)?;
    refuse_filter(query)
}

/// A filter is refused rather than ignored: the answer would be wrong.
fn refuse_filter(query: &Query) -> Result<(), Failure> {
    if query.first("filter").is_some_and(|filter| !filter.is_empty()) {
        return Err(Failure::internal(
            "Failed to create boolean expression evaluator: this agent does not evaluate filters",
        ));
    }
    Ok(())
}

/// `+` is a space and `%xx` a byte. Bytes that are not UTF-8 are replaced: no name has them.
fn decode(text: &str) -> String {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { text.into() };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
