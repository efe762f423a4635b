//! Texts by which a client tells one failure of Consul from another, since its status codes do not.

/// What 1.8 answers (with status 500) to a beat for a check that the agent does not have: the agent forgot the registration. Newer Consul
/// answers 404 instead.
pub const NO_ASSOCIATED_TTL: &str = "does not have associated TTL";
/// What an agent answers (with status 403) to a token that it does not know: wrong, deleted, or not yet known to its server.
pub const ACL_NOT_FOUND: &str = "ACL not found";
/// What a server answers (with status 500) when there is no leader, so that only `?stale` reads can be answered.
pub const NO_CLUSTER_LEADER: &str = "No cluster leader";
