//! Maintenance: a critical check with a reserved id, which makes an instance or the whole node unavailable.

use consul_wire::check::{CheckStatus, HealthCheck, NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX};

use super::{Check, CheckKind, Refusal, State};

impl State {
    pub(super) fn service_maintenance(
        &mut self,
        id: &str,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(service) = self.service(id) else {
            return Err(Refusal::NothingToMaintain(id.to_owned()));
        };
        let check_id = format!("{SERVICE_MAINTENANCE_PREFIX}{id}");
        let row = HealthCheck {
            name: "Service Maintenance Mode".to_owned(),
            service_id: id.to_owned(),
            service_name: service.service.clone(),
            service_tags: service.tags.clone(),
            ..self.maintenance_row(check_id, "service", reason)
        };
        self.maintain(row, reason.is_some());
        Ok(())
    }

    pub(super) fn node_maintenance(&mut self, reason: Option<&str>) {
        let row = HealthCheck {
            name: "Node Maintenance Mode".to_owned(),
            ..self.maintenance_row(NODE_MAINTENANCE.to_owned(), "node", reason)
        };
        self.maintain(row, reason.is_some());
    }

    /// An instance in maintenance stays as it is, with its first reason.
    fn maintain(&mut self, row: HealthCheck, on: bool) {
        match (on, self.checks.contains_key(&row.check_id)) {
            (true, false) => self.insert_check(Check::new(row, CheckKind::Maintenance)),
            (false, true) => self.remove_check(&row.check_id),
            (true, true) | (false, false) => {}
        }
    }

    fn maintenance_row(&self, check_id: String, what: &str, reason: Option<&str>) -> HealthCheck {
        let notes = match reason {
            Some("") | None => format!(
                "Maintenance mode is enabled for this {what}, but no reason was provided. This is a default message."
            ),
            Some(reason) => reason.to_owned(),
        };
        HealthCheck {
            node: self.node.node.clone(),
            check_id,
            name: String::new(),
            status: CheckStatus::Critical,
            notes,
            output: String::new(),
            service_id: String::new(),
            service_name: String::new(),
            service_tags: Vec::new(),
            kind: CheckKind::Maintenance.as_str().to_owned(),
            definition: serde_json::Map::new(),
            create_index: 0,
            modify_index: 0,
        }
    }
}
