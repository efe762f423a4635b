//! Instances: registration, update and removal.

use std::{collections::BTreeMap, net::IpAddr};

use consul_wire::service::{Service, TaggedAddress, empty_connect, empty_proxy};
use tokio::time::Instant;

use super::{CheckDefinition, Refusal, SERVER_SERVICE, ServiceDefinition, State, Topic, Unsaved};

/// The maximum number of instances of an agent.
const SERVICES_MAX: usize = 10_000;

impl State {
    /// Adds or updates an instance and its checks. An existing check keeps its status whatever the registration contains: only a heartbeat or a
    /// check run changes it.
    pub(super) fn register_service(
        &mut self,
        definition: ServiceDefinition,
        checks: Vec<CheckDefinition>,
        replace: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        if definition.id == SERVER_SERVICE {
            return Err(Refusal::Reserved(definition.id));
        }
        if !self.services.contains_key(&definition.id) && self.services.len() >= SERVICES_MAX {
            return Err(Refusal::Full { what: "services", limit: SERVICES_MAX });
        }
        self.admit_checks(&checks)?;
        let service_id = definition.id.clone();
        self.insert_service(row(definition));
        let checks = named(&service_id, checks);
        if replace {
            for old in self.check_ids_of(&service_id) {
                if !checks.iter().any(|check| check.id == old) {
                    self.remove_check(&old);
                }
            }
        }
        for check in checks {
            self.put_check(check, now);
        }
        Ok(())
    }

    /// Removes an instance and its checks.
    pub(super) fn deregister_service(&mut self, id: &str) -> Result<(), Refusal> {
        if id.is_empty() {
            return Err(Refusal::NoServiceId);
        }
        if id != SERVER_SERVICE {
            self.remove_service(id);
        }
        Ok(())
    }

    /// Stores a row. An equal row is not a change.
    pub(super) fn insert_service(&mut self, mut service: Service) {
        let old = self.services.get(&service.id);
        if let Some(old) = old {
            (service.create_index, service.modify_index) = (old.create_index, old.modify_index);
            if *old == service {
                return;
            }
        }
        let index = self.topics.advance();
        if let Some(renamed) = old.filter(|old| !old.service.eq_ignore_ascii_case(&service.service))
        {
            let (id, name) = (renamed.id.clone(), renamed.service.clone());
            self.touch_service(&id, &name);
            self.unname(&id, &name);
        } else if old.is_none() {
            service.create_index = index;
        }
        service.modify_index = index;
        self.touch_service(&service.id, &service.service);
        self.names
            .entry(service.service.to_ascii_lowercase())
            .or_default()
            .insert(service.id.clone());
        self.services.insert(service.id.clone(), service);
        self.must_save(Unsaved::Registration);
    }

    pub(super) fn remove_service(&mut self, id: &str) {
        let Some(service) = self.services.remove(id) else { return };
        self.touch_service(id, &service.service);
        for check in self.check_ids_of(id) {
            self.remove_check(&check);
        }
        self.unname(id, &service.service);
        self.must_save(Unsaved::Registration);
    }

    fn touch_service(&mut self, id: &str, name: &str) {
        let name = name.to_ascii_lowercase();
        self.topics.touch(Topic::Services);
        self.topics.touch(Topic::Node);
        self.topics.touch(Topic::Instances(name.clone()));
        self.topics.touch(Topic::Health(name));
        self.topics.touch_unindexed(Topic::Agent(id.to_owned()));
    }

    /// Removes the instance from the ids of this name.
    fn unname(&mut self, id: &str, name: &str) {
        let name = name.to_ascii_lowercase();
        let Some(ids) = self.names.get_mut(&name) else { return };
        ids.remove(id);
        if ids.is_empty() {
            self.names.remove(&name);
            self.topics.extinguish(&name);
        }
    }
}

/// A check without an id is named for its service and its position.
fn named(service_id: &str, checks: Vec<CheckDefinition>) -> Vec<CheckDefinition> {
    let several = checks.len() > 1;
    let name = |(place, mut check): (usize, CheckDefinition)| {
        if check.id.is_empty() {
            check.id = if several {
                format!("service:{service_id}:{}", place + 1)
            } else {
                format!("service:{service_id}")
            };
        }
        check.service_id = Some(service_id.to_owned());
        check
    };
    checks.into_iter().enumerate().map(name).collect()
}

pub(super) fn row(definition: ServiceDefinition) -> Service {
    let mut service = Service {
        id: definition.id,
        service: definition.name,
        tags: definition.tags,
        address: definition.address,
        tagged_addresses: definition.tagged_addresses,
        meta: definition.meta,
        port: definition.port,
        weights: definition.weights,
        enable_tag_override: definition.enable_tag_override,
        proxy: empty_proxy(),
        connect: empty_connect(),
        create_index: 0,
        modify_index: 0,
    };
    tag_address(&mut service.tagged_addresses, &service.address, service.port);
    service
}

/// The registration that makes this row.
pub(super) fn definition(service: &Service) -> ServiceDefinition {
    ServiceDefinition {
        id: service.id.clone(),
        name: service.service.clone(),
        tags: service.tags.clone(),
        address: service.address.clone(),
        tagged_addresses: service.tagged_addresses.clone(),
        meta: service.meta.clone(),
        port: service.port,
        weights: service.weights,
        enable_tag_override: service.enable_tag_override,
    }
}

/// Consul repeats an address that is an IP address under the LAN and WAN keys of its family.
fn tag_address(tagged: &mut BTreeMap<String, TaggedAddress>, address: &str, port: u16) {
    let Ok(ip) = address.parse::<IpAddr>() else { return };
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    for net in ["lan", "wan"] {
        tagged
            .entry(format!("{net}_{family}"))
            .or_insert_with(|| TaggedAddress { address: address.to_owned(), port });
    }
}
