//! Error texts that a client needs to distinguish Consul's failures, since the status codes are ambiguous.

/// The answer of 1.8 (status 500) to a heartbeat for an unknown check: the agent has lost the registration. Newer versions answer 404.
pub const NO_ASSOCIATED_TTL: &str = "does not have associated TTL";
/// The answer of an agent (status 403) to an unknown token: wrong, deleted, or not yet replicated to its server.
pub const ACL_NOT_FOUND: &str = "ACL not found";
/// The answer of a server (status 500) without a leader, when only `?stale` reads succeed.
pub const NO_CLUSTER_LEADER: &str = "No cluster leader";
