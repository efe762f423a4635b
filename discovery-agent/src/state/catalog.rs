//! The catalog's answers: `/v1/catalog/...`, `/v1/health/...` and the lookups of DNS.
//!
//! Lists are in the order of ids, as in a Consul with one node.

use std::collections::{BTreeMap, BTreeSet};

use consul_wire::{
    catalog::{CatalogService, NodeServices, Services},
    check::{CheckStatus, HealthCheck},
    service::{Node, Service, ServiceEntry},
};

use super::{Check, State};

/// An instance and its aggregated status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) service: &'a Service,
    /// The worst status of its own checks and those of its node.
    pub(crate) status: CheckStatus,
}

impl State {
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether this is the name of the node. Consul ignores case here.
    pub(crate) fn is_node(&self, name: &str) -> bool {
        self.node.node.eq_ignore_ascii_case(name)
    }

    pub(crate) fn catalog_services(&self) -> Services {
        let mut services = BTreeMap::<String, BTreeSet<&String>>::new();
        for service in self.services.values() {
            services.entry(service.service.clone()).or_default().extend(&service.tags);
        }
        let listed = |tags: BTreeSet<&String>| tags.into_iter().cloned().collect();
        services.into_iter().map(|(name, tags)| (name, listed(tags))).collect()
    }

    pub(crate) fn catalog_service(&self, name: &str, tags: &[String]) -> Vec<CatalogService> {
        let wanted = |service: &&Service| has_tags(service, tags);
        self.named(name).filter(wanted).map(|service| self.flattened(service)).collect()
    }

    pub(crate) fn catalog_node(&self) -> NodeServices {
        NodeServices { node: self.node.clone(), services: self.services.clone() }
    }

    pub(crate) fn health_service(
        &self,
        name: &str,
        tags: &[String],
        passing: bool,
    ) -> Vec<ServiceEntry> {
        let entry = |service: &Service| ServiceEntry {
            node: self.node.clone(),
            service: service.clone(),
            checks: self.checks_for(&service.id).map(Check::in_catalog).collect(),
        };
        let wanted = |service: &&Service| {
            let usable = !passing || self.status_of(&service.id) == CheckStatus::Passing;
            usable && has_tags(service, tags)
        };
        self.named(name).filter(wanted).map(entry).collect()
    }

    pub(crate) fn health_checks(&self, name: &str) -> Vec<HealthCheck> {
        let of_service = |check: &&Check| {
            !check.row.service_id.is_empty() && check.row.service_name.eq_ignore_ascii_case(name)
        };
        self.checks.values().filter(of_service).map(Check::in_catalog).collect()
    }

    pub(crate) fn health_node(&self) -> Vec<HealthCheck> {
        self.checks.values().map(Check::in_catalog).collect()
    }

    pub(crate) fn health_state(&self, status: CheckStatus) -> Vec<HealthCheck> {
        let wanted = |check: &&Check| check.row.status == status;
        self.checks.values().filter(wanted).map(Check::in_catalog).collect()
    }

    /// The instances of a service; with a tag, only those that have it. Name and tag are case-insensitive.
    pub(crate) fn instances<'a>(
        &'a self,
        name: &str,
        tag: Option<&str>,
    ) -> impl Iterator<Item = Instance<'a>> {
        self.named(name)
            .filter(move |service| tag.is_none_or(|tag| has_tag(service, tag)))
            .map(|service| Instance { service, status: self.status_of(&service.id) })
    }

    /// The instance with this id, among those that programs registered.
    pub(crate) fn service(&self, id: &str) -> Option<&Service> {
        self.services.get(id).filter(|service| service.id != super::SERVER_SERVICE)
    }

    /// All instances that programs registered.
    pub(crate) fn registered(&self) -> impl Iterator<Item = &Service> {
        self.services.values().filter(|service| service.id != super::SERVER_SERVICE)
    }

    /// The instances of this name, without regard to case.
    fn named(&self, name: &str) -> impl Iterator<Item = &Service> {
        let ids = self.names.get(&name.to_ascii_lowercase()).into_iter().flatten();
        ids.filter_map(|id| self.services.get(id))
    }

    /// The checks of an instance: the node's, then its own.
    pub(super) fn checks_for<'a>(
        &'a self,
        service_id: &str,
    ) -> impl Iterator<Item = &'a Check> + Clone {
        let of = |id: &str| self.check_ids.get(id).into_iter().flatten();
        of("").chain(of(service_id)).filter_map(|id| self.checks.get(id))
    }

    fn status_of(&self, service_id: &str) -> CheckStatus {
        let worst = self.checks_for(service_id).map(|check| check.row.status).max();
        worst.unwrap_or(CheckStatus::Passing)
    }

    fn flattened(&self, service: &Service) -> CatalogService {
        CatalogService {
            id: self.node.id.clone(),
            node: self.node.node.clone(),
            address: self.node.address.clone(),
            datacenter: self.node.datacenter.clone(),
            tagged_addresses: self.node.tagged_addresses.clone(),
            node_meta: self.node.meta.clone(),
            service_kind: String::new(),
            service_id: service.id.clone(),
            service_name: service.service.clone(),
            service_tags: service.tags.clone(),
            service_address: service.address.clone(),
            service_tagged_addresses: service.tagged_addresses.clone(),
            service_weights: service.weights,
            service_meta: service.meta.clone(),
            service_port: service.port,
            service_enable_tag_override: service.enable_tag_override,
            service_proxy: service.proxy.clone(),
            service_connect: service.connect.clone(),
            create_index: service.create_index,
            modify_index: service.modify_index,
        }
    }
}

fn has_tags(service: &Service, tags: &[String]) -> bool {
    tags.iter().all(|tag| has_tag(service, tag))
}

fn has_tag(service: &Service, tag: &str) -> bool {
    service.tags.iter().any(|own| own.eq_ignore_ascii_case(tag))
}
