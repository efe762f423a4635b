//! Keys of the query string.

/// The last index that the caller of a blocking query has received.
pub const INDEX: &str = "index";
/// The maximum wait of a blocking query, as a Go duration (`30s`, `500ms`).
pub const WAIT: &str = "wait";
/// The last content hash that the caller of a blocking `/v1/agent/service/:id` query has received.
pub const HASH: &str = "hash";
/// Any server may answer, leader or not.
pub const STALE: &str = "stale";
/// The leader answers, after its followers have confirmed it.
pub const CONSISTENT: &str = "consistent";
/// The agent may answer from its cache.
pub const CACHED: &str = "cached";
/// Only instances without a warning or critical check.
pub const PASSING: &str = "passing";
/// Only instances with this tag; may be given more than once.
pub const TAG: &str = "tag";
/// The datacenter to query.
pub const DATACENTER: &str = "dc";
/// Removes the checks of a service that its new registration does not list. Only `true` or an empty value enables it; `1` is ignored.
pub const REPLACE_EXISTING_CHECKS: &str = "replace-existing-checks";
/// Turns maintenance on or off: `true` or `false`.
pub const ENABLE: &str = "enable";
/// The reason for maintenance.
pub const REASON: &str = "reason";
/// The output of a TTL check.
pub const NOTE: &str = "note";
