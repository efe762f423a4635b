//! Time: when the state must be looked at again, and what is due then.
//!
//! A beat only moves a deadline further away, so nobody is told: the old one passes, nothing is due, and the next is sought among all checks.
//! That is one walk over the checks every TTL or so, and no ordered set to keep.

use std::time::Duration;

use consul_wire::check::CheckStatus;
use tokio::time::Instant;

use super::{Check, CheckTarget, Effects, State};

/// How long the catalog may show an older output of a check whose status stays as it was. Consul's `check_update_interval`.
pub(crate) const PUBLISH_DELAY: Duration = Duration::from_secs(300);

/// What a check says that was not told for too long.
const EXPIRED: &str = "TTL expired";

/// What the timekeeper and the runner of checks must know.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    /// Nothing is due before this.
    soonest: Option<Instant>,
    hastened: bool,
    retargeted: bool,
}

impl Timers {
    /// Something is due then.
    pub(super) fn hasten(&mut self, at: Instant) {
        if self.soonest.is_none_or(|soonest| at < soonest) {
            self.soonest = Some(at);
            self.hastened = true;
        }
    }

    /// The set of checks that run is another.
    pub(super) fn retarget(&mut self) {
        self.retargeted = true;
    }

    pub(super) fn take_hastened(&mut self) -> bool {
        std::mem::take(&mut self.hastened)
    }

    pub(super) fn take_retargeted(&mut self) -> bool {
        std::mem::take(&mut self.retargeted)
    }
}

impl State {
    /// When [`State::expire`] must be called at the latest: nothing is due before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.soonest
    }

    /// Does what is due: TTL checks turn critical, services that were critical for too long go, outputs reach the catalog.
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

    /// What the agent has to look at, by the id of the check.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, &CheckTarget)> {
        self.checks.iter().filter_map(|(id, check)| Some((id.as_str(), check.target()?)))
    }

    /// An output that lagged reaches the catalog, unless it is the one that is there, or a new status took it along.
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
        let said = &check.row.output;
        let output = if said.is_empty() || said.starts_with(EXPIRED) {
            EXPIRED.to_owned()
        } else {
            format!("{EXPIRED} (last output before timeout follows): {said}")
        };
        self.judge(id, CheckStatus::Critical, output, now);
    }

    /// Consul looks for services to remove every 30 s; here they go when their time is over.
    fn reap(&mut self, now: Instant) {
        let overdue = |check: &&Check| check.reap_at().is_some_and(|at| at <= now);
        let services: Vec<String> = self
            .checks
            .values()
            .filter(overdue)
            .map(|check| check.row.service_id.clone())
            .collect();
        for id in services {
            tracing::info!(service = %id, "service removed for having been critical for too long");
            self.remove_service(&id);
        }
    }
}

impl Check {
    fn next_deadline(&self) -> Option<Instant> {
        [self.expires_at, self.publish_at, self.reap_at()].into_iter().flatten().min()
    }
}
