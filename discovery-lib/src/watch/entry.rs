//! Consul's catalog entries as instances.

use std::{
    collections::{BTreeMap, hash_map::Entry},
    sync::Arc,
};

use consul_wire::service::{Service, ServiceEntry};

use super::{
    endpoint::{self, NO_PORT},
    snapshot::Remarks,
};
use crate::{CheckResult, Host, Instance, Status, TaggedAddress, Weights, agent::LeftOut};

/// The names under which Consul repeats the address of a service.
const OWN: [&str; 4] = ["lan_ipv4", "wan_ipv4", "lan_ipv6", "wan_ipv6"];

/// Why a record is left out whose node and id another one has.
const TWICE: &str = "the answer has an instance of this node and id already";

/// What a record of the catalog is. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    Instance(Arc<Instance>, Arc<[CheckResult]>),
    /// It can't be used.
    LeftOut(Arc<LeftOut>),
}

/// What this entry is. It shares text with the record before.
pub(super) fn record(entry: ServiceEntry, before: Option<&Record>) -> Record {
    match instance(entry) {
        Ok((instance, checks)) => {
            let before = match before {
                Some(Record::Instance(before, _)) => Some(&**before),
                Some(Record::LeftOut(_)) | None => None,
            };
            Record::Instance(Arc::new(share(instance, before)), checks)
        }
        Err(unusable) => Record::LeftOut(Arc::new(unusable)),
    }
}

/// The instances of an answer, in its order, with their checks and the records that can't be used.
pub(super) fn instances(records: Vec<Record>) -> (Vec<Arc<Instance>>, Remarks) {
    let (mut instances, mut remarks) = (Vec::with_capacity(records.len()), Remarks::default());
    remarks.checks.reserve(records.len());
    for record in records {
        match record {
            Record::Instance(instance, checks) => {
                match remarks.checks.entry((Arc::clone(&instance.node), instance.id.clone())) {
                    Entry::Vacant(first) => {
                        first.insert(checks);
                        instances.push(instance);
                    }
                    Entry::Occupied(_) => {
                        let (node, id) = (&*instance.node, instance.id.as_str());
                        remarks.left_out.push(LeftOut::new(node, id, TWICE));
                    }
                }
            }
            Record::LeftOut(unusable) => remarks.left_out.push(Arc::unwrap_or_clone(unusable)),
        }
    }
    (instances, remarks)
}

fn instance(entry: ServiceEntry) -> Result<(Instance, Arc<[CheckResult]>), LeftOut> {
    let wrong = |why: String| LeftOut::new(&entry.node.node, &entry.service.id, why);
    if entry.service.port == 0 {
        return Err(wrong(NO_PORT.to_owned()));
    }
    let host = endpoint::host(entry.address()).map_err(wrong)?;
    let ServiceEntry { node, mut service, checks } = entry;
    let tagged_addresses = tagged(&mut service, &host);
    let checks: Arc<[CheckResult]> = checks.into_iter().map(CheckResult::new).collect();
    let instance = Instance {
        host,
        id: service.id.into(),
        service: service.service.into(),
        node: node.node.into(),
        datacenter: (!node.datacenter.is_empty()).then(|| node.datacenter.into()),
        node_meta: node.meta.into(),
        port: service.port,
        tagged_addresses,
        tags: service.tags,
        meta: service.meta,
        weights: Weights { passing: service.weights.passing, warning: service.weights.warning },
        status: checks.iter().map(|check| check.status).max().unwrap_or(Status::Passing),
    };
    Ok((instance, checks))
}

/// Its other addresses, without those that can't be used.
fn tagged(service: &mut Service, host: &Host) -> BTreeMap<String, TaggedAddress> {
    let own = TaggedAddress::new(host.clone(), service.port);
    let usable = |(name, tagged): (String, consul_wire::service::TaggedAddress)| {
        let port = if tagged.port == 0 { service.port } else { tagged.port };
        let tagged = TaggedAddress::new(endpoint::host(&tagged.address).ok()?, port);
        let is_own = tagged == own && OWN.contains(&&*name);
        (!is_own).then_some((name, tagged))
    };
    std::mem::take(&mut service.tagged_addresses).into_iter().filter_map(usable).collect()
}

/// The instance, which shares the text of its node and datacenter with the one before, where that is equal.
pub(super) fn share(mut instance: Instance, before: Option<&Instance>) -> Instance {
    let Some(before) = before else { return instance };
    if instance.datacenter == before.datacenter {
        instance.datacenter.clone_from(&before.datacenter);
    }
    if instance.node == before.node && instance.node_meta == before.node_meta {
        instance.node = before.node.clone();
        instance.node_meta = before.node_meta.clone();
    }
    instance
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::Host;

    /// An entry as in Consul's JSON, with the fields that matter here.
    fn entry(node: &str, id: &str, address: &str, checks: &[(&str, &str)]) -> ServiceEntry {
        let checks: Vec<_> = checks
            .iter()
            .map(|(id, status)| json!({"Node": node, "CheckID": id, "Name": id, "Status": status}))
            .collect();
        serde_json::from_value(json!({
            "Node": {"Node": node, "Address": "10.0.0.9", "Datacenter": "dc2", "Meta": {"rack": "7"}},
            "Service": {"ID": id, "Service": "web", "Address": address, "Port": 80, "Tags": ["a", "b"],
                "Meta": {"k": "v"}, "Weights": {"Passing": 3, "Warning": 2},
                "TaggedAddresses": {"wan": {"Address": "web.example", "Port": 443}}},
            "Checks": checks,
        }))
        .unwrap()
    }

    /// The instances of an answer of these entries.
    fn of(entries: impl IntoIterator<Item = ServiceEntry>) -> (Vec<Arc<Instance>>, Remarks) {
        let mut records = Vec::new();
        for entry in entries {
            records.push(record(entry, records.last()));
        }
        instances(records)
    }

    #[test]
    fn the_worst_check_is_the_status() {
        let (serf, own) = ("serfHealth", "service:web");
        let (by_hand, node) = ("_service_maintenance:web", "_node_maintenance");
        for (checks, status) in [
            (&[] as &[_], Status::Passing),
            (&[(serf, "passing"), (own, "passing")], Status::Passing),
            (&[(serf, "passing"), (own, "warning")], Status::Warning),
            (&[(serf, "critical"), (own, "warning")], Status::Critical),
            (&[(own, "passing"), (by_hand, "critical")], Status::Maintenance),
            (&[(own, "critical"), (node, "critical")], Status::Maintenance),
            (&[(serf, "passing"), (own, "unknown")], Status::Critical),
            (&[(own, "Passing")], Status::Critical),
            (&[(own, "")], Status::Critical),
        ] {
            assert_eq!(
                instance(entry("n", "web", "", checks)).unwrap().0.status,
                status,
                "{checks:?}"
            );
        }
    }

    #[test]
    fn an_empty_address_is_the_nodes() {
        for (address, host) in
            [("", "10.0.0.9"), ("10.0.0.1", "10.0.0.1"), ("db.example", "db.example")]
        {
            assert_eq!(instance(entry("n", "web", address, &[])).unwrap().0.host, Host::from(host));
        }
    }

    #[test]
    fn a_record_that_can_not_be_used_is_left_out_and_the_others_stay() {
        let portless = |id: &str| {
            let mut entry = entry("larry", id, "", &[]);
            entry.service.port = 0;
            entry
        };
        let (usable, remarks) = of([
            portless("a"),
            entry("larry", "b", "a host with spaces", &[]),
            entry("larry", "c", "", &[]),
        ]);
        let ids: Vec<_> = usable.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["c"]);
        let spaces = "\"a host with spaces\" is neither an IP address nor a host name";
        let expected = [("a", NO_PORT), ("b", spaces)];
        assert_eq!(remarks.left_out, expected.map(|(id, why)| LeftOut::new("larry", id, why)));
    }

    #[test]
    fn of_several_records_of_one_instance_the_first_is_used() {
        let at = |address| entry("larry", "a", address, &[("c", "passing")]);
        let other = entry("moe", "a", "", &[]);
        let (usable, remarks) = of([at("10.0.0.1"), other, at("10.0.0.2")]);
        let hosts: Vec<_> = usable.iter().map(|one| one.host.to_string()).collect();
        assert_eq!(hosts, ["10.0.0.1", "10.0.0.9"]);
        assert_eq!(remarks.left_out, [LeftOut::new("larry", "a", TWICE)]);
    }

    #[test]
    fn all_fields_of_an_entry_are_kept() {
        let entry = entry("larry", "web-1", "10.0.0.1", &[("service:web", "warning")]);
        let expected = Instance {
            id: "web-1".into(),
            node: "larry".into(),
            datacenter: Some("dc2".into()),
            node_meta: Arc::new([("rack".into(), "7".into())].into()),
            tagged_addresses: [("wan".into(), TaggedAddress::new("web.example", 443))].into(),
            tags: vec!["a".into(), "b".into()],
            meta: [("k".into(), "v".into())].into(),
            weights: Weights { passing: 3, warning: 2 },
            status: Status::Warning,
            ..Instance::at("web", "10.0.0.1".into(), 80)
        };
        assert_eq!(instance(entry).unwrap().0, expected);
    }

    #[test]
    fn tagged_addresses_are_those_beside_the_own_that_can_be_used() {
        for (name, address, port, expected) in [
            ("lan", "10.0.0.1", 80, Some("10.0.0.1:80")),
            ("wan", "2001:db8::1", 443, Some("[2001:db8::1]:443")),
            ("any name", "web.example", 0, Some("web.example:80")),
            ("wan_ipv4", "10.0.0.1", 80, None),
            ("lan_ipv4", "10.0.0.1", 80, None),
            ("lan_ipv4", "10.0.0.1", 81, Some("10.0.0.1:81")),
            ("wan_ipv4", "203.0.113.1", 80, Some("203.0.113.1:80")),
            ("wan", "", 80, None),
            ("wan", "0.0.0.0", 80, None),
            ("wan", "a b", 80, None),
        ] {
            let mut entry = entry("larry", "web-1", "10.0.0.1", &[]);
            let tagged = consul_wire::service::TaggedAddress { address: address.into(), port };
            entry.service.tagged_addresses = [(name.into(), tagged)].into();
            let instance = instance(entry).unwrap().0;
            let shown = instance.tagged_addresses.get(name).map(ToString::to_string);
            assert_eq!(shown.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn instances_of_one_node_share_its_text() {
        let (list, _) = of([
            entry("moe", "a", "", &[]),
            entry("larry", "b", "", &[]),
            entry("larry", "a", "", &[]),
        ]);
        let order: Vec<_> = list.iter().map(|one| (&*one.node, one.id.as_str())).collect();
        assert_eq!(order, [("moe", "a"), ("larry", "b"), ("larry", "a")], "as answered");
        assert!(Arc::ptr_eq(&list[1].node_meta, &list[2].node_meta));
        let dc = |one: &Instance| one.datacenter.clone().unwrap();
        assert!(Arc::ptr_eq(&dc(&list[0]), &dc(&list[2])));
    }
}
