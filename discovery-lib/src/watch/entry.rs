//! From what Consul's catalog says of an instance to what callers know of it.

use consul_wire::{
    check::{CheckStatus, HealthCheck, NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX},
    service::ServiceEntry,
};

use crate::{Host, Instance, Status, Weights};

/// The instances of an answer, sorted by node and id.
pub(super) fn instances(entries: Vec<ServiceEntry>) -> Vec<Instance> {
    let mut instances: Vec<_> = entries.into_iter().map(instance).collect();
    instances.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
    instances
}

fn instance(entry: ServiceEntry) -> Instance {
    let host = Host::from(entry.address());
    let ServiceEntry { node, service, checks } = entry;
    Instance {
        host,
        id: service.id.into(),
        service: service.service.into(),
        node: node.node.into(),
        port: service.port,
        tags: service.tags,
        meta: service.meta,
        weights: Weights { passing: service.weights.passing, warning: service.weights.warning },
        status: checks.iter().map(status).max().unwrap_or(Status::Passing),
    }
}

/// Maintenance is a critical check with an id of its own.
fn status(check: &HealthCheck) -> Status {
    match check.status {
        CheckStatus::Critical if is_maintenance(&check.check_id) => Status::Maintenance,
        CheckStatus::Critical => Status::Critical,
        CheckStatus::Warning => Status::Warning,
        CheckStatus::Passing => Status::Passing,
    }
}

fn is_maintenance(check_id: &str) -> bool {
    check_id == NODE_MAINTENANCE || check_id.starts_with(SERVICE_MAINTENANCE_PREFIX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An entry as Consul writes it, as far as it matters here.
    fn entry(node: &str, id: &str, address: &str, checks: &[(&str, &str)]) -> ServiceEntry {
        let checks: Vec<_> = checks
            .iter()
            .map(|(id, status)| json!({"Node": node, "CheckID": id, "Name": id, "Status": status}))
            .collect();
        serde_json::from_value(json!({
            "Node": {"Node": node, "Address": "10.0.0.9"},
            "Service": {"ID": id, "Service": "web", "Address": address, "Port": 80, "Tags": ["a", "b"],
                "Meta": {"k": "v"}, "Weights": {"Passing": 3, "Warning": 2}},
            "Checks": checks,
        }))
        .unwrap()
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
        ] {
            assert_eq!(instance(entry("n", "web", "", checks)).status, status, "{checks:?}");
        }
    }

    #[test]
    fn an_empty_address_is_the_nodes() {
        for (address, host) in
            [("", "10.0.0.9"), ("10.0.0.1", "10.0.0.1"), ("db.example", "db.example")]
        {
            assert_eq!(instance(entry("n", "web", address, &[])).host, Host::from(host));
        }
    }

    #[test]
    fn everything_that_callers_need_is_kept() {
        let instance = instance(entry("larry", "web-1", "10.0.0.1", &[("service:web", "warning")]));
        let expected = Instance {
            id: "web-1".into(),
            node: "larry".into(),
            tags: vec!["a".into(), "b".into()],
            meta: [("k".into(), "v".into())].into(),
            weights: Weights { passing: 3, warning: 2 },
            status: Status::Warning,
            ..Instance::at("web", "10.0.0.1".into(), 80)
        };
        assert_eq!(instance, expected);
    }

    #[test]
    fn instances_are_sorted_by_node_and_id() {
        let sorted = instances(vec![
            entry("moe", "a", "", &[]),
            entry("larry", "b", "", &[]),
            entry("larry", "a", "", &[]),
        ]);
        let order: Vec<_> = sorted.iter().map(|one| (&*one.node, one.id.as_str())).collect();
        assert_eq!(order, [("larry", "a"), ("larry", "b"), ("moe", "a")]);
    }
}
