//! Services and nodes, as in `/v1/health/service/:name` and `/v1/catalog/node/:node`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    check::HealthCheck,
    lenient::{empty_is_null, null_is_default, odd_is_default, port, port_or_none},
};

/// One element of `/v1/health/service/:name`: an instance, its node, and the checks of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceEntry {
    /// The node.
    pub node: Node,
    /// The instance.
    pub service: Service,
    /// The node's checks and the instance's.
    #[serde(default, deserialize_with = "null_is_default")]
    pub checks: Vec<HealthCheck>,
}

impl ServiceEntry {
    /// The address of the instance, or of its node if the instance has none.
    pub fn address(&self) -> &str {
        if self.service.address.is_empty() { &self.node.address } else { &self.service.address }
    }
}

/// A node of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// A UUID; empty for a node that was registered by hand without one.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its name.
    pub node: String,
    /// An IP address or a name.
    #[serde(default)]
    pub address: String,
    /// The datacenter that it belongs to.
    #[serde(default)]
    pub datacenter: String,
    /// `lan`, `wan`, and each with `_ipv4` or `_ipv6`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Metadata that the operator set for the node.
    #[serde(default, deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// The index at which it was created.
    #[serde(default)]
    pub create_index: u64,
    /// The index at which it last changed.
    #[serde(default)]
    pub modify_index: u64,
}

/// An instance in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// Unique on its node.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service name.
    pub service: String,
    /// Tags, in the order of the registration.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// An IP address or a name; empty means the node's address.
    #[serde(default)]
    pub address: String,
    /// Address and port by kind of address; left out when there are none.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub tagged_addresses: BTreeMap<String, TaggedAddress>,
    /// Metadata of the service.
    #[serde(default, deserialize_with = "null_is_default", serialize_with = "empty_is_null")]
    pub meta: BTreeMap<String, String>,
    /// 0 when it has none.
    #[serde(default, deserialize_with = "port")]
    pub port: u16,
    /// Its weight, by status.
    #[serde(default, deserialize_with = "odd_is_default")]
    pub weights: Weights,
    /// Whether others may change its tags in the catalog.
    #[serde(default)]
    pub enable_tag_override: bool,
    /// Of the mesh; passed through.
    #[serde(default = "empty_proxy")]
    pub proxy: serde_json::Value,
    /// Of the mesh; passed through.
    #[serde(default = "empty_connect")]
    pub connect: serde_json::Value,
    /// The index at which it was created.
    #[serde(default)]
    pub create_index: u64,
    /// The index at which it last changed.
    #[serde(default)]
    pub modify_index: u64,
}

/// An address with its port, in `TaggedAddresses` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaggedAddress {
    /// An IP address.
    #[serde(default)]
    pub address: String,
    /// The port on it; 0 when it has none.
    #[serde(default, deserialize_with = "port_or_none")]
    pub port: u16,
}

/// The weight of an instance among its peers, as in SRV records (RFC 2782).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Weights {
    /// While all its checks pass.
    pub passing: u16,
    /// While one of them is in warning.
    pub warning: u16,
}

/// Consul's own default: 1 and 1.
impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// The value that 1.8 writes for a service without a proxy.
pub fn empty_proxy() -> serde_json::Value {
    serde_json::json!({ "MeshGateway": {}, "Expose": {} })
}

/// The value that 1.8 writes for a service outside of the mesh.
pub fn empty_connect() -> serde_json::Value {
    serde_json::json!({})
}
