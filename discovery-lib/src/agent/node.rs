//! Consul's answers about a node, as far as a registration needs them. Parsed leniently, since they contain records of other programs.

use std::collections::BTreeMap;

use consul_wire::service::{Node, Service, ServiceEntry};
use serde::Deserialize;
use serde_json::Value;

use crate::Host;

/// The answer of `/v1/agent/health/service/id/:id`.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    #[serde(rename = "Checks")]
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(rename = "Node", default)]
    node: String,
}

impl Health {
    pub(super) fn node(self) -> Option<String> {
        let nodes = self.checks.into_iter().flatten().map(|check| check.node);
        nodes.into_iter().find(|node| !node.is_empty())
    }
}

/// The answer of `/v1/catalog/node/:node`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    node: Node,
    services: Option<BTreeMap<String, Value>>,
}

impl Shown {
    /// The services that can be parsed. One that can't be parsed, of another program, does not hide the others.
    pub(super) fn entries(self) -> Vec<ServiceEntry> {
        let services = self.services.into_iter().flatten();
        services
            .filter_map(|(_, service)| serde_json::from_value::<Service>(service).ok())
            .map(|service| ServiceEntry { node: self.node.clone(), service, checks: Vec::new() })
            .collect()
    }
}

/// The answer of `/v1/agent/self`.
#[derive(Debug, Deserialize)]
pub(super) struct AgentSelf {
    #[serde(rename = "Member")]
    member: Option<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    #[serde(rename = "Addr", default)]
    addr: String,
}

impl AgentSelf {
    pub(super) fn address(self) -> Option<Host> {
        let addr = self.member?.addr;
        (!addr.is_empty()).then(|| Host::from(&*addr))
    }
}
