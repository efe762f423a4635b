//! The agent's own answers: `/v1/agent/services`, `/v1/agent/checks`, `/v1/agent/service/:id` and `/v1/agent/health/service/...`.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use consul_wire::{
    agent::{AgentService, AgentServiceHealth},
    check::{CheckStatus, HealthCheck, NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX},
    service::Service,
};

use super::{Check, CheckKind, State};

/// The aggregated status of an instance on its agent: unlike the status of a check, it includes maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aggregate {
    Passing,
    Warning,
    Critical,
    Maintenance,
}

impl Aggregate {
    /// Consul's name of the status.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
        }
    }
}

impl State {
    pub(crate) fn agent_services(&self) -> BTreeMap<String, AgentService> {
        self.registered().map(|service| (service.id.clone(), in_agent(service))).collect()
    }

    /// The instance with its content hash, for a blocking query.
    pub(crate) fn agent_service(&self, id: &str) -> Option<AgentService> {
        let mut service = in_agent(self.service(id)?);
        service.content_hash = content_hash(&service);
        Some(service)
    }

    pub(crate) fn agent_checks(&self) -> BTreeMap<String, HealthCheck> {
        let own = |check: &&Check| check.kind != CheckKind::Serf;
        let checks = self.checks.values().filter(own);
        checks.map(|check| (check.row.check_id.clone(), check.in_agent())).collect()
    }

    pub(crate) fn health_of_instance(&self, id: &str) -> Option<(Aggregate, AgentServiceHealth)> {
        let service = self.service(id)?;
        let checks = self.checks_for(id).filter(|check| check.kind != CheckKind::Serf);
        let aggregate = checks.clone().map(aggregate).max();
        let aggregate = aggregate.unwrap_or(Aggregate::Passing);
        let health = AgentServiceHealth {
            aggregated_status: aggregate.as_str().to_owned(),
            service: Some(in_agent(service)),
            checks: Some(checks.map(Check::in_agent).collect()),
        };
        Some((aggregate, health))
    }

    /// The health of each instance of exactly this name, with regard to case, as Consul's agent does.
    pub(crate) fn health_of_name(&self, name: &str) -> Vec<(Aggregate, AgentServiceHealth)> {
        let named = self.registered().filter(|service| service.service == name);
        named.filter_map(|service| self.health_of_instance(&service.id)).collect()
    }
}

fn aggregate(check: &Check) -> Aggregate {
    let id = &check.row.check_id;
    if id == NODE_MAINTENANCE || id.starts_with(SERVICE_MAINTENANCE_PREFIX) {
        return Aggregate::Maintenance;
    }
    match check.row.status {
        CheckStatus::Passing => Aggregate::Passing,
        CheckStatus::Warning => Aggregate::Warning,
        CheckStatus::Critical => Aggregate::Critical,
    }
}

fn in_agent(service: &Service) -> AgentService {
    AgentService {
        id: service.id.clone(),
        service: service.service.clone(),
        tags: service.tags.clone(),
        meta: service.meta.clone(),
        port: service.port,
        address: service.address.clone(),
        tagged_addresses: service.tagged_addresses.clone(),
        weights: service.weights,
        enable_tag_override: service.enable_tag_override,
        content_hash: String::new(),
    }
}

/// 16 hex digits that change with the content. Clients only compare them, so they need not equal Consul's.
fn content_hash(service: &AgentService) -> String {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(service).unwrap_or_default().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
