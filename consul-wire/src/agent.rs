//! Requests and answers of `/v1/agent/...`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    check::{CheckStatus, HealthCheck},
    lenient::{null_is_default, odd_is_default, port_or_none},
    service::{TaggedAddress, Weights},
};

/// The body of `PUT /v1/agent/service/register`, with the fields that a program needs to register itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceRegistration {
    /// Unique on the agent.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service name.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Left out: callers use the node's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port on it.
    pub port: u16,
    /// Address and port by kind of address; left out when there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: BTreeMap<String, TaggedAddress>,
    /// Metadata of the service.
    pub meta: BTreeMap<String, String>,
    /// Its weight, by status.
    pub weights: Weights,
    /// Its checks.
    pub checks: Vec<CheckRegistration>,
}

/// A check within a [`ServiceRegistration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckRegistration {
    /// Unique on the agent.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// A display name.
    pub name: String,
    /// What is checked, and how.
    #[serde(flatten)]
    pub definition: CheckDefinition,
    /// The initial status; Consul's own default is critical.
    pub status: CheckStatus,
    /// The agent removes the service after this time in critical; a Go duration. Consul raises it to `1m`. None: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregister_critical_service_after: Option<String>,
    /// The number of passing or warning results in a row of which the last one changes the status. None, 0 and 1: each one. Not for a TTL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_before_passing: Option<u16>,
    /// The number of critical results in a row of which the last one changes the status. None, 0 and 1: each one. Not for a TTL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_before_critical: Option<u16>,
}

/// The fields of a [`CheckRegistration`] that are of one kind of check. Intervals and timeouts are Go durations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "PascalCase")]
pub enum CheckDefinition {
    /// Critical unless it is set to another status before the TTL is over.
    Ttl {
        /// The TTL, as a Go duration.
        #[serde(rename = "TTL")]
        ttl: String,
    },
    /// A GET by the agent.
    Http {
        /// The URL.
        #[serde(rename = "HTTP")]
        http: String,
        /// The time between two requests; Consul raises it to 1 s.
        interval: String,
        /// The deadline of a request.
        timeout: String,
    },
    /// A TCP connection from the agent.
    Tcp {
        /// `host:port`.
        #[serde(rename = "TCP")]
        tcp: String,
        /// The time between two connections; Consul raises it to 1 s.
        interval: String,
        /// The deadline of a connection.
        timeout: String,
    },
    /// A call of the gRPC health protocol by the agent.
    Grpc {
        /// `host:port`, or `host:port/service`.
        #[serde(rename = "GRPC")]
        grpc: String,
        /// The time between two calls; Consul raises it to 1 s.
        interval: String,
        /// The deadline of a call.
        timeout: String,
    },
    /// The status of another service of the same agent.
    Alias {
        /// Its id.
        alias_service: String,
    },
    /// The status of a node.
    AliasNode {
        /// Its name.
        alias_node: String,
    },
}

/// `/v1/agent/service/:id`, and each value of `/v1/agent/services`: an instance on its own agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentService {
    /// Unique on the agent.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service name.
    pub service: String,
    /// Tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Metadata of the service.
    #[serde(default, deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// 0 if it has none, or an invalid one.
    #[serde(default, deserialize_with = "port_or_none")]
    pub port: u16,
    /// Empty means the node's address.
    #[serde(default)]
    pub address: String,
    /// Address and port by kind of address; left out when there are none.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub tagged_addresses: BTreeMap<String, TaggedAddress>,
    /// Its weight, by status.
    #[serde(default, deserialize_with = "odd_is_default")]
    pub weights: Weights,
    /// Whether others may change its tags in the catalog.
    #[serde(default)]
    pub enable_tag_override: bool,
    /// Only in `/v1/agent/service/:id`: changes with any of the above.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_hash: String,
}

/// `/v1/agent/health/service/id/:id`, and each element of `/v1/agent/health/service/name/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentServiceHealth {
    /// The worst status of its checks; `maintenance` ranks above all.
    pub aggregated_status: String,
    /// `None` for an unknown id.
    pub service: Option<AgentService>,
    /// The node's checks and its own; `None` for an unknown id.
    pub checks: Option<Vec<HealthCheck>>,
}

/// One element of `/v1/agent/members`: an agent in the gossip pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Member {
    /// The name of the node; in the WAN pool `node.datacenter`.
    pub name: String,
    /// Its IP address.
    pub addr: String,
    /// Its port for gossip.
    pub port: u16,
    /// Tags of the agent.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// 1 alive, 2 leaving, 3 left, 4 failed.
    pub status: u8,
    /// Versions of gossip.
    #[serde(default)]
    pub protocol_min: u8,
    /// Versions of gossip.
    #[serde(default)]
    pub protocol_max: u8,
    /// Versions of gossip.
    #[serde(default)]
    pub protocol_cur: u8,
    /// Versions of what is carried by gossip.
    #[serde(default)]
    pub delegate_min: u8,
    /// Versions of what is carried by gossip.
    #[serde(default)]
    pub delegate_max: u8,
    /// Versions of what is carried by gossip.
    #[serde(default)]
    pub delegate_cur: u8,
}

/// `/v1/agent/self`, with the fields that a client needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentSelf {
    /// The configuration of the agent.
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
