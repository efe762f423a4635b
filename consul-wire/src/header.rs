//! Header names, in [`http`-style lower case]. HTTP header names are case-insensitive.
//!
//! [`http`-style lower case]: https://www.rfc-editor.org/rfc/rfc9113#section-8.2

/// The index of an answer: the next blocking query carries it (<https://developer.hashicorp.com/consul/api-docs/features/blocking>).
pub const INDEX: &str = "x-consul-index";
/// `true` if the server that answered knew of a leader. For a blocking query: when the query arrived.
pub const KNOWN_LEADER: &str = "x-consul-knownleader";
/// Milliseconds since the server that answered last heard from the leader. For a blocking query: when the query arrived.
pub const LAST_CONTACT: &str = "x-consul-lastcontact";
/// `leader`, `stale` or `consistent`: the consistency mode of the answer.
pub const EFFECTIVE_CONSISTENCY: &str = "x-consul-effective-consistency";
/// The hash of a `/v1/agent/service/:id` answer: the next hash-based blocking query carries it.
pub const CONTENT_HASH: &str = "x-consul-contenthash";
/// The reason for the status of `/v1/agent/health/service/...`.
pub const REASON: &str = "x-consul-reason";
/// The caller's access token. Never logged.
pub const TOKEN: &str = "x-consul-token";
/// `true` when ACLs left records out of the answer; newer than 1.8.
pub const FILTERED_BY_ACLS: &str = "x-consul-results-filtered-by-acls";
/// `HIT` or `MISS`, on answers to `?cached`.
pub const CACHE: &str = "x-cache";
