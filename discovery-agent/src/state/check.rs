//! Checks: registration, status and removal.

use std::time::Duration;

use consul_wire::check::{CheckStatus, HealthCheck, SERF_HEALTH};
use tokio::time::Instant;

use super::{
    CheckDefinition, CheckKind, CheckTarget, OUTPUT_BYTES_MAX, Refusal, State, Thresholds, Topic,
    Unsaved, streak::Streak, timer::PUBLISH_DELAY,
};

/// The maximum number of checks of an agent.
const CHECKS_MAX: usize = 40_000;
/// The minimum time before a critical service is removed, whatever its registration requests.
const DEREGISTER_AFTER_MIN: Duration = Duration::from_secs(60);

/// One check.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// The row in the agent; its indexes are the catalog's.
    pub(super) row: HealthCheck,
    /// The output in the catalog, which may be older.
    pub(super) published: String,
    /// The time at which the output is published to the catalog, if it lags.
    pub(super) publish_at: Option<Instant>,
    pub(super) kind: CheckKind,
    /// The time at which a TTL check becomes critical without a heartbeat; `None` if it has expired.
    pub(super) expires_at: Option<Instant>,
    /// The time until which the last heartbeat is valid, also across a restart.
    pub(super) heartbeat_valid_until: Option<Instant>,
    /// The time since which it has been found critical. A registration as critical does not count.
    pub(super) critical_since: Option<Instant>,
    pub(super) deregister_after: Option<Duration>,
    pub(super) thresholds: Thresholds,
    /// Starts over with each registration.
    streak: Streak,
    /// The maximum length of the output, in bytes. More is truncated.
    pub(super) output_bytes_max: usize,
}

impl Check {
    pub(super) const fn new(row: HealthCheck, kind: CheckKind) -> Self {
        Self {
            row,
            published: String::new(),
            publish_at: None,
            kind,
            expires_at: None,
            heartbeat_valid_until: None,
            critical_since: None,
            deregister_after: None,
            thresholds: Thresholds::NONE,
            streak: Streak::new(Thresholds::NONE),
            output_bytes_max: OUTPUT_BYTES_MAX,
        }
    }

    /// The row in the catalog.
    pub(crate) fn in_catalog(&self) -> HealthCheck {
        HealthCheck { output: self.published.clone(), ..self.row.clone() }
    }

    /// The row on its own agent: without indexes.
    pub(crate) fn in_agent(&self) -> HealthCheck {
        HealthCheck { create_index: 0, modify_index: 0, ..self.row.clone() }
    }

    /// Whether both have the same registration, with any status.
    fn is_defined_as(&self, other: &Self) -> bool {
        let (own, others) = (&self.row, &other.row);
        self.kind == other.kind
            && self.deregister_after == other.deregister_after
            && self.thresholds == other.thresholds
            && self.output_bytes_max == other.output_bytes_max
            && (&own.name, &own.notes, &own.service_id)
                == (&others.name, &others.notes, &others.service_id)
    }

    /// The target that the agent probes for it.
    pub(super) const fn target(&self) -> Option<&CheckTarget> {
        match &self.kind {
            CheckKind::Active(target) => Some(target),
            CheckKind::Ttl(_) | CheckKind::Maintenance | CheckKind::Serf => None,
        }
    }

    /// The time at which its service is removed for having been critical for too long; `None` for a check of the node.
    pub(super) fn reap_at(&self) -> Option<Instant> {
        if self.row.service_id.is_empty() {
            return None;
        }
        Some(self.critical_since? + self.deregister_after?)
    }
}

/// Truncates a long output, with a note.
fn cut(output: String, bytes_max: usize) -> String {
    let kept = &output[..output.floor_char_boundary(bytes_max)];
    if kept.len() == output.len() {
        return output;
    }
    format!("{kept} ... (captured {} of {} bytes)", kept.len(), output.len())
}

impl State {
    pub(super) fn register_check(
        &mut self,
        mut check: CheckDefinition,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(service) = &check.service_id
            && self.service(service).is_none()
        {
            return Err(Refusal::UnknownService(service.clone()));
        }
        check.id = check.id_or_name().to_owned();
        self.admit_checks(std::slice::from_ref(&check))?;
        self.put_check(check, now);
        Ok(())
    }

    /// Whether these checks can be registered.
    pub(super) fn admit_checks(&self, checks: &[CheckDefinition]) -> Result<(), Refusal> {
        if self.checks.len() + checks.len() > CHECKS_MAX {
            return Err(Refusal::Full { what: "checks", limit: CHECKS_MAX });
        }
        match checks.iter().find(|check| check.id == SERF_HEALTH) {
            Some(own) => Err(Refusal::Reserved(own.id.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn deregister_check(&mut self, id: &str) -> Result<(), Refusal> {
        if id.is_empty() {
            return Err(Refusal::NoCheckId);
        }
        if self.checks.get(id).is_some_and(|check| check.kind != CheckKind::Serf) {
            self.remove_check(id);
        }
        Ok(())
    }

    pub(super) fn heartbeat(
        &mut self,
        id: &str,
        status: CheckStatus,
        output: String,
        now: Instant,
    ) -> Result<(), Refusal> {
        let check = self.checks.get_mut(id);
        let Some((check, ttl)) = check.and_then(|check| match check.kind {
            CheckKind::Ttl(ttl) => Some((check, ttl)),
            CheckKind::Active(_) | CheckKind::Maintenance | CheckKind::Serf => None,
        }) else {
            return Err(Refusal::NoTtl(id.to_owned()));
        };
        check.expires_at = Some(now + ttl);
        check.heartbeat_valid_until = Some(now + ttl);
        self.timers.schedule(now + ttl);
        let output = cut(output, check.output_bytes_max);
        self.must_save(Unsaved::Heartbeat);
        self.judge(id, status, output, now);
        Ok(())
    }

    /// Applies the result of a check run, if its threshold is reached. The result of a run with an earlier definition is ignored.
    pub(super) fn observe(
        &mut self,
        id: &str,
        target: &CheckTarget,
        status: CheckStatus,
        output: String,
        now: Instant,
    ) {
        let Some(check) = self.checks.get_mut(id) else { return };
        if check.target() == Some(target) && check.streak.add(status, check.thresholds) {
            self.judge(id, status, output, now);
        }
    }

    /// Sets status and output. A new status is published at once, a new output alone later.
    pub(super) fn judge(&mut self, id: &str, status: CheckStatus, output: String, now: Instant) {
        let Some(check) = self.checks.get_mut(id) else { return };
        check.critical_since = match status {
            CheckStatus::Critical => check.critical_since.or(Some(now)),
            CheckStatus::Passing | CheckStatus::Warning => None,
        };
        let reap_at = check.reap_at();
        if check.row.status != status {
            let mut changed = check.clone();
            changed.row.status = status;
            changed.row.output = output;
            self.publish(changed);
        } else if check.row.output != output {
            check.row.output = output;
            let publish_at = *check.publish_at.get_or_insert(now + PUBLISH_DELAY);
            self.timers.schedule(publish_at);
        }
        if let Some(at) = reap_at {
            self.timers.schedule(at);
        }
    }

    /// Registers a check. An existing one keeps its status and output; its TTL starts over.
    pub(super) fn put_check(&mut self, definition: CheckDefinition, now: Instant) {
        let mut row = self.row_of(&definition);
        let mut check = Check::new(row.clone(), definition.kind);
        if let Some(old) = self.checks.get(&definition.id) {
            row.status = old.row.status;
            row.output.clone_from(&old.row.output);
            check.published.clone_from(&old.published);
            check.heartbeat_valid_until = old.heartbeat_valid_until;
        }
        check.row = row;
        if let CheckKind::Ttl(ttl) = check.kind {
            check.expires_at = Some(now + ttl);
        }
        check.output_bytes_max = definition.output_bytes_max;
        check.deregister_after =
            definition.deregister_after.map(|after| after.max(DEREGISTER_AFTER_MIN));
        check.thresholds = definition.thresholds;
        check.streak = Streak::new(definition.thresholds);
        if let Some(at) = check.expires_at {
            self.timers.schedule(at);
        }
        self.insert_check(check);
    }

    fn row_of(&self, definition: &CheckDefinition) -> HealthCheck {
        let service = definition.service_id.as_ref().and_then(|id| self.services.get(id));
        let name = match service {
            Some(service) if definition.name.is_empty() => {
                format!("Service '{}' check", service.service)
            }
            _ => definition.name.clone(),
        };
        HealthCheck {
            node: self.node.node.clone(),
            check_id: definition.id.clone(),
            name,
            status: definition.status.unwrap_or(CheckStatus::Critical),
            notes: definition.notes.clone(),
            output: String::new(),
            service_id: definition.service_id.clone().unwrap_or_default(),
            service_name: service.map(|service| service.service.clone()).unwrap_or_default(),
            service_tags: service.map(|service| service.tags.clone()).unwrap_or_default(),
            kind: definition.kind.as_str().to_owned(),
            definition: serde_json::Map::new(),
            create_index: 0,
            modify_index: 0,
        }
    }

    /// Stores a check and publishes it if its row in the catalog changes.
    pub(super) fn insert_check(&mut self, mut check: Check) {
        let old = self.checks.get(&check.row.check_id);
        if old.is_none_or(|old| !old.is_defined_as(&check)) {
            self.unsaved = Unsaved::Registration;
        }
        if old.and_then(Check::target) != check.target() {
            self.timers.set_checks_changed();
        }
        if let Some(old) = old {
            check.row.create_index = old.row.create_index;
            check.row.modify_index = old.row.modify_index;
            if old.row == check.row {
                check.publish_at = old.publish_at;
                self.checks.insert(check.row.check_id.clone(), check);
                return;
            }
        }
        self.publish(check);
    }

    /// Publishes all of a check to the catalog.
    pub(super) fn publish(&mut self, mut check: Check) {
        let index = self.topics.advance();
        let old = self.checks.get(&check.row.check_id).map(|old| old.row.clone());
        if old.is_none() {
            check.row.create_index = index;
        }
        check.row.modify_index = index;
        check.published.clone_from(&check.row.output);
        check.publish_at = None;
        if let Some(old) = old {
            self.touch_check(&old);
            self.unlink(&old);
        }
        self.touch_check(&check.row);
        let ids = self.check_ids.entry(check.row.service_id.clone()).or_default();
        ids.insert(check.row.check_id.clone());
        self.checks.insert(check.row.check_id.clone(), check);
        // Indexes continue after a restart.
        self.must_save(Unsaved::Heartbeat);
    }

    pub(super) fn remove_check(&mut self, id: &str) {
        let Some(check) = self.checks.remove(id) else { return };
        self.touch_check(&check.row);
        self.unlink(&check.row);
        if check.target().is_some() {
            self.timers.set_checks_changed();
        }
        self.must_save(Unsaved::Registration);
    }

    /// The ids of the checks of an instance; of the node with an empty id.
    pub(super) fn check_ids_of(&self, service_id: &str) -> Vec<String> {
        self.check_ids.get(service_id).into_iter().flatten().cloned().collect()
    }

    fn unlink(&mut self, row: &HealthCheck) {
        if let Some(ids) = self.check_ids.get_mut(&row.service_id) {
            ids.remove(&row.check_id);
            if ids.is_empty() {
                self.check_ids.remove(&row.service_id);
            }
        }
    }

    fn touch_check(&mut self, row: &HealthCheck) {
        self.topics.touch(Topic::NodeChecks);
        self.topics.touch(Topic::AnyStatus);
        self.topics.touch(Topic::Status(row.status));
        if row.service_id.is_empty() {
            for name in self.names.keys() {
                self.topics.touch(Topic::Health(name.clone()));
            }
        } else {
            self.topics.touch(Topic::Checks(row.service_name.to_ascii_lowercase()));
            if let Some(service) = self.services.get(&row.service_id) {
                self.topics.touch(Topic::Health(service.service.to_ascii_lowercase()));
            }
        }
    }
}
