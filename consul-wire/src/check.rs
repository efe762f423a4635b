//! Checks, as `/v1/agent/checks` and `/v1/health/...` list them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::null_is_default;

/// Prefix of the id of the check that puts a service into maintenance; the service's id follows.
pub const SERVICE_MAINTENANCE_PREFIX: &str = "_service_maintenance:";
/// Id of the check that puts a whole node into maintenance.
pub const NODE_MAINTENANCE: &str = "_node_maintenance";
/// Id of the check that says whether the cluster can reach the node's agent.
pub const SERF_HEALTH: &str = "serfHealth";

/// How a check stands. Maintenance is no status of its own on the wire, but a critical check with an id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// All is well.
    Passing,
    /// Usable, though something is off.
    Warning,
    /// Not usable. A word that is none of these is read as this: the catalog takes any, and only `passing` counts as passing.
    #[serde(other)]
    Critical,
}

impl CheckStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One check of a node or of one of its services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthCheck {
    /// The node whose agent runs the check.
    pub node: String,
    /// Unique on its node.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// For people; of a maintenance check, the reason.
    #[serde(default)]
    pub notes: String,
    /// What the last run said.
    #[serde(default)]
    pub output: String,
    /// Empty for a check of the node itself.
    #[serde(rename = "ServiceID", default)]
    pub service_id: String,
    /// Empty for a check of the node itself.
    #[serde(default)]
    pub service_name: String,
    /// The tags of the service that is checked.
    #[serde(default, deserialize_with = "null_is_default")]
    pub service_tags: Vec<String>,
    /// `ttl`, `http`, `tcp`, `maintenance`, or empty (the node's own).
    #[serde(rename = "Type", default)]
    pub kind: String,
    /// What runs, and how often; empty for most checks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub definition: serde_json::Map<String, serde_json::Value>,
    /// The index at which it came to be.
    #[serde(default)]
    pub create_index: u64,
    /// The index at which it last changed.
    #[serde(default)]
    pub modify_index: u64,
}
