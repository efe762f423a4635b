//! The node of the agent, and its built-in registrations, as in Consul: the service `consul` and the check of the node.

use std::collections::BTreeMap;

use consul_wire::{
    agent::Member,
    check::{CheckStatus, HealthCheck, SERF_HEALTH},
    service::{Node, Service, Weights, empty_connect, empty_proxy},
};

use super::{Check, CheckKind};

/// Name and id of the service that each Consul server registers for itself.
pub(crate) const SERVER_SERVICE: &str = "consul";
/// The port of server RPC. Nothing listens on it here; clients print it.
const SERVER_PORT: u16 = 8300;
/// The ports of gossip. Nothing listens on them here; clients print them.
const SERF_LAN_PORT: u16 = 8301;
const SERF_WAN_PORT: u16 = 8302;
/// The Consul version whose API this is.
pub(crate) const VERSION: &str = "1.8.7";

/// The identity of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// A UUID.
    pub(crate) node_id: String,
    pub(crate) node_name: String,
    pub(crate) datacenter: String,
    /// The address of the node, and so of services without an address.
    pub(crate) address: String,
}

impl Identity {
    /// The address of the single server with its port; an IPv6 address is in brackets.
    pub(crate) fn server_address(&self) -> String {
        let address = &self.address;
        if address.contains(':') {
            format!("[{address}]:{SERVER_PORT}")
        } else {
            format!("{address}:{SERVER_PORT}")
        }
    }
}

/// The catalog row of the node. Its indexes are filled in when it is read.
pub(super) fn row(identity: &Identity) -> Node {
    let family = if identity.address.contains(':') { "ipv6" } else { "ipv4" };
    let tagged = ["lan", "wan"].into_iter().flat_map(|net| {
        [net.to_owned(), format!("{net}_{family}")].map(|tag| (tag, identity.address.clone()))
    });
    Node {
        id: identity.node_id.clone(),
        node: identity.node_name.clone(),
        address: identity.address.clone(),
        datacenter: identity.datacenter.clone(),
        tagged_addresses: tagged.collect(),
        meta: BTreeMap::from([("consul-network-segment".to_owned(), String::new())]),
        create_index: super::topic::FIRST,
        modify_index: super::topic::FIRST,
    }
}

pub(super) fn server_service() -> Service {
    let meta = [
        ("non_voter", "false"),
        ("raft_version", "3"),
        ("serf_protocol_current", "2"),
        ("serf_protocol_max", "5"),
        ("serf_protocol_min", "1"),
        ("version", VERSION),
    ];
    Service {
        id: SERVER_SERVICE.to_owned(),
        service: SERVER_SERVICE.to_owned(),
        tags: Vec::new(),
        address: String::new(),
        tagged_addresses: BTreeMap::new(),
        meta: strings(meta),
        port: SERVER_PORT,
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: empty_proxy(),
        connect: empty_connect(),
        create_index: 0,
        modify_index: 0,
    }
}

pub(super) fn serf_health(node: &str) -> Check {
    let row = HealthCheck {
        node: node.to_owned(),
        check_id: SERF_HEALTH.to_owned(),
        name: "Serf Health Status".to_owned(),
        status: CheckStatus::Passing,
        notes: String::new(),
        output: "Agent alive and reachable".to_owned(),
        service_id: String::new(),
        service_name: String::new(),
        service_tags: Vec::new(),
        kind: String::new(),
        definition: serde_json::Map::new(),
        create_index: 0,
        modify_index: 0,
    };
    Check::new(row, CheckKind::Serf)
}

/// The agent as the single member of the LAN pool.
pub(crate) fn member(node: &Node) -> Member {
    let tags = [
        ("acls", "0"),
        ("bootstrap", "1"),
        ("build", "1.8.7:"),
        ("dc", &node.datacenter),
        ("ft_fs", "1"),
        ("id", &node.id),
        ("port", "8300"),
        ("raft_vsn", "3"),
        ("role", "consul"),
        ("segment", ""),
        ("vsn", "2"),
        ("vsn_max", "3"),
        ("vsn_min", "2"),
        ("wan_join_port", "8302"),
    ];
    Member {
        name: node.node.clone(),
        addr: node.address.clone(),
        port: SERF_LAN_PORT,
        tags: strings(tags),
        status: 1,
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

/// The agent as the single member of the WAN pool.
pub(crate) fn wan_member(node: &Node) -> Member {
    let mut member = member(node);
    member.name = format!("{}.{}", node.node, node.datacenter);
    member.port = SERF_WAN_PORT;
    member.tags.remove("wan_join_port");
    member
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
