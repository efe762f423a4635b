//! The query string, read as Consul reads it.

use std::{borrow::Cow, time::Duration};

use consul_wire::query::{CACHED, CONSISTENT, DATACENTER, INDEX, PASSING, STALE, WAIT};

use super::reply::Failure;
use crate::duration;

/// A blocking query without `wait` waits this long.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);
/// A blocking query waits at most this long, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// The pairs of a query string, in their order.
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

    /// The first value of this key; empty when it stands there without one.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.first(key).is_some()
    }

    /// `?passing`: there and not said to be false.
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

/// What Go's `ParseBool` reads.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What a caller of a blocking read asks for besides the question itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The index that the caller has seen; 0 for one who has seen none.
    pub(crate) index: u64,
    /// How long to wait for a newer one, before jitter.
    pub(crate) wait: Duration,
    pub(crate) consistency: Consistency,
    pub(crate) cached: bool,
}

/// What the caller trusts. Alone on its machine the agent is always leader, so these differ in name only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    Leader,
    Stale,
    Consistent,
}

impl Consistency {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Stale => "stale",
            Self::Consistent => "consistent",
        }
    }
}

impl Options {
    /// Reads what every catalog and health endpoint understands, and refuses what Consul refuses.
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

/// This agent knows no datacenter but its own.
pub(crate) fn refuse_elsewhere(query: &Query, datacenter: &str) -> Result<(), Failure> {
    if query.first(DATACENTER).is_some_and(|named| !named.is_empty() && named != datacenter) {
        return Err(Failure::no_path());
    }
    Ok(())
}

/// Namespaces are not part of the Consul whose API this is.
pub(crate) fn refuse_namespace(query: &Query) -> Result<(), Failure> {
    if query.first("ns").is_some_and(|ns| !ns.is_empty()) {
        return Err(Failure::bad(
            "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature",
        ));
    }
    Ok(())
}

/// What neither the agent's own lists nor the catalog's take.
pub(crate) fn refuse_unknown(query: &Query) -> Result<(), Failure> {
    refuse_namespace(query)?;
    refuse_filter(query)
}

/// A filter that is not understood is refused rather than passed over: the answer would be a wrong one.
fn refuse_filter(query: &Query) -> Result<(), Failure> {
    if query.first("filter").is_some_and(|filter| !filter.is_empty()) {
        return Err(Failure::internal(
            "Failed to create boolean expression evaluator: this agent does not evaluate filters",
        ));
    }
    Ok(())
}

/// `+` is a space and `%xx` a byte. What is no UTF-8 then is replaced: no name of ours has it.
fn decode(text: &str) -> String {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { text.into() };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
