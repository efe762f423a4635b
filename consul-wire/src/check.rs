//! Checks, as `/v1/agent/checks` and `/v1/health/...` list them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::null_is_default;

/// Prefix of the id of the check that puts a service into maintenance; the service's id follows.
pub const SERVICE_MAINTENANCE_PREFIX: &str = "_service_maintenance:";
/// Id of the check that puts a whole node into maintenance.
pub const NODE_MAINTENANCE: &str = "_node_maintenance";
/// Id of the check that shows whether the cluster can reach the node's agent.
pub const SERF_HEALTH: &str = "serfHealth";

/// The status of a check. Maintenance has no status of its own on the wire: it is a critical check with a reserved id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Healthy.
    Passing,
    /// Usable, with a problem.
    Warning,
    /// Not usable. Any unknown status is read as critical: the catalog accepts every text, and only `passing` counts as passing.
    #[serde(other)]
    Critical,
}

impl CheckStatus {
    /// The status on the wire.
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
    /// The node of the agent that executes the check.
    pub node: String,
    /// Unique on its node.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// A display name.
    pub name: String,
    /// The status.
    pub status: CheckStatus,
    /// Notes of the operator; for a maintenance check, the reason.
    #[serde(default)]
    pub notes: String,
    /// The output of the last execution.
    #[serde(default)]
    pub output: String,
    /// Empty for a check of the node itself.
    #[serde(rename = "ServiceID", default)]
    pub service_id: String,
    /// Empty for a check of the node itself.
    #[serde(default)]
    pub service_name: String,
    /// The tags of the checked service.
    #[serde(default, deserialize_with = "null_is_default")]
    pub service_tags: Vec<String>,
    /// `ttl`, `http`, `tcp`, `maintenance`, or empty (the node's own).
    #[serde(rename = "Type", default)]
    pub kind: String,
    /// The probe and its interval; empty for most checks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub definition: serde_json::Map<String, serde_json::Value>,
    /// The index at which it was created.
    #[serde(default)]
    pub create_index: u64,
    /// The index at which it last changed.
    #[serde(default)]
    pub modify_index: u64,
}
