//! Consul's answers about a node, as far as a registration needs them. Parsed leniently, since they contain records of other programs.

use std::collections::BTreeMap;

use consul_wire::{
    agent::AgentService,
    service::{Node, Service, ServiceEntry},
};
use serde::Deserialize;
use serde_json::Value;

use crate::Host;

/// The answer of `/v1/agent/health/service/id/:id`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    service: Option<AgentService>,
    checks: Option<Vec<CheckAtAgent>>,
}

impl Health {
    pub(super) fn at_agent(self) -> Option<AtAgent> {
        Some(AtAgent { service: self.service?, checks: self.checks.unwrap_or_default() })
    }
}

/// An instance at its agent, with the checks of it and of its node.
#[derive(Debug)]
pub(crate) struct AtAgent {
    pub(crate) service: AgentService,
    pub(crate) checks: Vec<CheckAtAgent>,
}

/// A check at its agent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CheckAtAgent {
    #[serde(rename = "CheckID", default)]
    pub(crate) id: String,
    /// Empty for one of the node.
    #[serde(rename = "ServiceID", default)]
    pub(crate) service_id: String,
    /// For a maintenance, its reason.
    #[serde(default)]
    pub(crate) notes: String,
    #[serde(default)]
    pub(crate) node: String,
}

impl AtAgent {
    /// The node of the agent, which each check names; none without a check.
    pub(crate) fn node(&self) -> Option<&str> {
        self.checks.iter().map(|check| check.node.as_str()).find(|node| !node.is_empty())
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
