//! Keys of the query string.

/// The index that a blocking query has seen.
pub const INDEX: &str = "index";
/// How long a blocking query may wait, as a Go duration (`30s`, `500ms`).
pub const WAIT: &str = "wait";
/// The content hash that a blocking query of `/v1/agent/service/:id` has seen.
pub const HASH: &str = "hash";
/// Any server may answer, leader or not.
pub const STALE: &str = "stale";
/// The leader answers, after asking its followers whether it still leads.
pub const CONSISTENT: &str = "consistent";
/// The agent may answer from its cache.
pub const CACHED: &str = "cached";
/// Only instances without a warning or critical check.
pub const PASSING: &str = "passing";
/// Only instances with this tag; may be given more than once.
pub const TAG: &str = "tag";
/// The datacenter that is asked.
pub const DATACENTER: &str = "dc";
/// Drops the checks of a service that its new registration does not name. Only `true` (or nothing) counts: `1` is passed over.
pub const REPLACE_EXISTING_CHECKS: &str = "replace-existing-checks";
/// Turns maintenance on or off: `true` or `false`.
pub const ENABLE: &str = "enable";
/// Why maintenance is on.
pub const REASON: &str = "reason";
/// What a TTL check has to say, shown as its output.
pub const NOTE: &str = "note";
