//! What is said to and by `/v1/agent/...`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{check::CheckStatus, lenient::null_is_default, service::Weights};

/// The body of `PUT /v1/agent/service/register`, as far as a program that registers itself needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceRegistration {
    /// Unique on the agent.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name that callers ask for.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Left out: callers use the node's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port on it.
    pub port: u16,
    /// What the service says of itself.
    pub meta: BTreeMap<String, String>,
    /// Its share, by status.
    pub weights: Weights,
    /// Its checks.
    pub checks: Vec<CheckRegistration>,
}

/// A TTL check within a [`ServiceRegistration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckRegistration {
    /// Unique on the agent.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// How long a pass lasts, as a Go duration.
    #[serde(rename = "TTL")]
    pub ttl: String,
    /// How it stands at first; Consul's own default is critical.
    pub status: CheckStatus,
    /// Critical for so long, the service is removed by its agent; a Go duration, at least `1m`.
    pub deregister_critical_service_after: String,
}

/// `/v1/agent/service/:id`, and each value of `/v1/agent/services`: an instance as its own agent knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentService {
    /// Unique on the agent.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name that callers ask for.
    pub service: String,
    /// Tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// What the service says of itself.
    #[serde(default, deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// 0 when it has none.
    #[serde(default)]
    pub port: u16,
    /// Empty means the node's address.
    #[serde(default)]
    pub address: String,
}

/// `/v1/agent/self`, as far as a client needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentSelf {
    /// What the agent is.
    pub config: AgentConfig,
}

/// `Config` of `/v1/agent/self`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentConfig {
    /// The datacenter that the agent belongs to.
    pub datacenter: String,
    /// The agent's node.
    pub node_name: String,
    /// Whether it is a server.
    #[serde(default)]
    pub server: bool,
    /// Consul's version.
    #[serde(default)]
    pub version: String,
}
