//! Timers: the next deadline of the state, and what is due then.
//!
//! A heartbeat only moves a deadline later, so the timer task is not notified: the old deadline passes, nothing is due, and the next one is
//! searched among all checks. That is one scan of the checks per TTL or so, and no ordered set to maintain.

use std::time::Duration;

use consul_wire::check::CheckStatus;
use tokio::time::Instant;

use super::{Check, CheckTarget, Effects, State};

/// The maximum delay until the catalog shows a new output of a check whose status stays the same. Consul's `check_update_interval`.
pub(crate) const PUBLISH_DELAY: Duration = Duration::from_secs(300);

/// The output of an expired check.
const EXPIRED: &str = "TTL expired";

/// The changes that concern the timer task and the check runner.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    /// Nothing is due before this.
    soonest: Option<Instant>,
    deadline_changed: bool,
    checks_changed: bool,
}

impl Timers {
    /// Schedules something at this time.
    pub(super) fn schedule(&mut self, at: Instant) {
        if self.soonest.is_none_or(|soonest| at < soonest) {
            self.soonest = Some(at);
            self.deadline_changed = true;
        }
    }

    /// Marks the set of active checks as changed.
    pub(super) fn set_checks_changed(&mut self) {
        self.checks_changed = true;
    }

    pub(super) fn take_deadline_changed(&mut self) -> bool {
        std::mem::take(&mut self.deadline_changed)
    }

    pub(super) fn take_checks_changed(&mut self) -> bool {
        std::mem::take(&mut self.checks_changed)
    }
}

impl State {
    /// The time at which [`State::expire`] must be called at the latest. Nothing is due before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.soonest
    }

    /// Applies what is due: TTL checks expire, services that were critical for too long are removed, outputs reach the catalog.
    pub(crate) fn expire(&mut self, now: Instant) -> Effects {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let ids = |wanted: &dyn Fn(&Check) -> bool| -> Vec<String> {
            let wanted = self.checks.values().filter(|check| wanted(check));
            wanted.map(|check| check.row.check_id.clone()).collect()
        };
        let expired = ids(&|check| due(check.expires_at));
        let late = ids(&|check| due(check.publish_at));
        for id in expired {
            self.expire_check(&id, now);
        }
        for id in late {
            self.publish_late(&id);
        }
        self.reap(now);
        self.timers.soonest = self.checks.values().filter_map(Check::next_deadline).min();
        self.take_effects()
    }

    /// The targets of active checks, by the id of the check.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, &CheckTarget)> {
        self.checks.iter().filter_map(|(id, check)| Some((id.as_str(), check.target()?)))
    }

    /// Publishes an output that lagged, unless it equals the published one or was published with a new status.
    fn publish_late(&mut self, id: &str) {
        let Some(check) = self.checks.get_mut(id) else { return };
        if check.publish_at.take().is_some() && check.published != check.row.output {
            let check = check.clone();
            self.publish(check);
        }
    }

    fn expire_check(&mut self, id: &str, now: Instant) {
        let Some(check) = self.checks.get_mut(id) else { return };
        check.expires_at = None;
        let last = &check.row.output;
        let output = if last.is_empty() || last.starts_with(EXPIRED) {
            EXPIRED.to_owned()
        } else {
            format!("{EXPIRED} (last output before timeout follows): {last}")
        };
        self.judge(id, CheckStatus::Critical, output, now);
    }

    /// Consul looks for services to remove every 30 s; here they are removed at the deadline.
    fn reap(&mut self, now: Instant) {
        let overdue = |check: &&Check| check.reap_at().is_some_and(|at| at <= now);
        let services: Vec<String> = self
            .checks
            .values()
            .filter(overdue)
            .map(|check| check.row.service_id.clone())
            .collect();
        for id in services {
            tracing::info!(instance = %id, "critical service removed after its deregister time");
            self.remove_service(&id);
        }
    }
}

impl Check {
    fn next_deadline(&self) -> Option<Instant> {
        [self.expires_at, self.publish_at, self.reap_at()].into_iter().flatten().min()
    }
}
