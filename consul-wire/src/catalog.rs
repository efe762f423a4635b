//! Answers of `/v1/catalog/...` that are not [`Node`]s and [`Service`]s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    lenient::null_is_default,
    service::{Node, Service, TaggedAddress, Weights, empty_connect, empty_proxy},
};

/// `/v1/catalog/services`: each name with the tags that any of its instances has.
pub type Services = BTreeMap<String, Vec<String>>;

/// `/v1/catalog/node/:node`; `null` for an unknown node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeServices {
    /// The node.
    pub node: Node,
    /// Its services by id.
    #[serde(default, deserialize_with = "null_is_default")]
    pub services: BTreeMap<String, Service>,
}

/// One element of `/v1/catalog/service/:name`: an instance and its node, flattened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CatalogService {
    /// The node's UUID.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// The node's address.
    #[serde(default)]
    pub address: String,
    /// The node's datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// The node's addresses.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Metadata that the operator set for the node.
    #[serde(default, deserialize_with = "null_is_default")]
    pub node_meta: BTreeMap<String, String>,
    /// Empty for a service outside the mesh.
    #[serde(default)]
    pub service_kind: String,
    /// The instance's id.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The instance's tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub service_tags: Vec<String>,
    /// Empty means the node's address.
    #[serde(default)]
    pub service_address: String,
    /// Left out when there are none.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub service_tagged_addresses: BTreeMap<String, TaggedAddress>,
    /// The instance's weights.
    #[serde(default)]
    pub service_weights: Weights,
    /// Metadata of the service.
    #[serde(default, deserialize_with = "null_is_default")]
    pub service_meta: BTreeMap<String, String>,
    /// 0 when it has none.
    #[serde(default)]
    pub service_port: u16,
    /// Whether others may change its tags in the catalog.
    #[serde(default)]
    pub service_enable_tag_override: bool,
    /// Of the mesh; passed through.
    #[serde(default = "empty_proxy")]
    pub service_proxy: serde_json::Value,
    /// Of the mesh; passed through.
    #[serde(default = "empty_connect")]
    pub service_connect: serde_json::Value,
    /// The index at which it was created.
    #[serde(default)]
    pub create_index: u64,
    /// The index at which it last changed.
    #[serde(default)]
    pub modify_index: u64,
}
