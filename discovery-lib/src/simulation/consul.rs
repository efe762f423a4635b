//! Consul as its clients see it: agents, a catalog with an index, blocking queries, TTL checks, and servers that lag or have no leader.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use consul_wire::check::CheckStatus;
use tokio::time::Instant;

use crate::{
    Host, Instance, Origin, Status,
    instance::INCARNATION,
    registration::machine::TTL,
    watch::{Remarks, machine::Reply},
};

/// A check that is critical for this time ends its registration.
pub(super) const REAPED_AFTER: Duration = Duration::from_secs(60);

/// The registration of a process.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The run that registered it.
    pub(super) run: u64,
    status: CheckStatus,
    is_in_maintenance: bool,
    /// Without a heartbeat until then the check turns critical.
    expires_at: Instant,
    critical_since: Option<Instant>,
}

/// The catalog at a time.
#[derive(Debug, Clone)]
struct View {
    at: Instant,
    index: u64,
    instances: Vec<Arc<Instance>>,
}

#[derive(Debug)]
pub(super) struct Consul {
    /// What the agents have, by process.
    pub(super) records: BTreeMap<usize, Record>,
    /// All states of the catalog since its last loss, in order. At least one.
    views: Vec<View>,
    pub(super) down_until: Instant,
    pub(super) leaderless_until: Instant,
    behind: Duration,
    lags_until: Instant,
    pub(super) churns_until: Instant,
}

impl Consul {
    pub(super) fn new(now: Instant) -> Self {
        let view = View { at: now, index: 10, instances: Vec::new() };
        Self {
            records: BTreeMap::new(),
            views: vec![view],
            down_until: now,
            leaderless_until: now,
            behind: Duration::ZERO,
            lags_until: now,
            churns_until: now,
        }
    }

    /// The answer to a query at this time, or none while it waits for a change.
    pub(super) fn query(&mut self, after: Option<u64>, now: Instant) -> Option<Reply> {
        if now < self.churns_until {
            let last = self.views.len() - 1;
            self.views[last].index += 1;
        }
        let view = self.view(now);
        // Also one of the future: it waits until it is reached.
        if after.is_some_and(|after| view.index <= after) {
            return None;
        }
        Some(self.reply(now))
    }

    /// What is known at this time.
    pub(super) fn reply(&self, now: Instant) -> Reply {
        let view = self.view(now);
        Reply {
            origin: Origin::Catalog,
            instances: view.instances.clone(),
            index: Some(view.index),
            last_contact: if now < self.lags_until { self.behind } else { Duration::ZERO },
            ttl: Duration::ZERO,
            remarks: Remarks::default(),
        }
    }

    /// Keeps checks that are not in the registration, and so a maintenance.
    pub(super) fn register(&mut self, process: usize, run: u64, now: Instant) {
        let before = self.records.get(&process);
        // A check of the same id keeps its status.
        let status = before.map_or(CheckStatus::Passing, |record| record.status);
        let critical_since = before.and_then(|record| record.critical_since);
        let is_in_maintenance = before.is_some_and(|record| record.is_in_maintenance);
        let record =
            Record { run, status, is_in_maintenance, expires_at: now + TTL, critical_since };
        self.records.insert(process, record);
        self.changed(now);
    }

    /// Whether there is a check.
    pub(super) fn heartbeat(&mut self, process: usize, status: CheckStatus, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(&process) else { return false };
        record.expires_at = now + TTL;
        record.set(status, now);
        self.changed(now);
        true
    }

    pub(super) fn maintain(&mut self, process: usize, is_on: bool, now: Instant) {
        if let Some(record) = self.records.get_mut(&process) {
            record.is_in_maintenance = is_on;
        }
        self.changed(now);
    }

    pub(super) fn deregister(&mut self, process: usize, now: Instant) {
        self.records.remove(&process);
        self.changed(now);
    }

    /// Empties the catalog; its index begins anew.
    pub(super) fn lose_data(&mut self, index: u64, now: Instant) {
        self.records.clear();
        self.views = vec![View { at: now, index, instances: Vec::new() }];
    }

    pub(super) fn lag(&mut self, behind: Duration, until: Instant) {
        (self.behind, self.lags_until) = (behind, until);
    }

    /// Ends what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.leaderless_until || now < self.down_until {
            return;
        }
        for record in self.records.values_mut() {
            if now >= record.expires_at {
                record.set(CheckStatus::Critical, now);
            }
        }
        let is_kept =
            |record: &Record| record.critical_since.is_none_or(|since| now < since + REAPED_AFTER);
        self.records.retain(|_, record| is_kept(record));
        self.changed(now);
    }

    /// When [`Self::tick`] has something to do, or a server that lags shows another state.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        let records = self.records.values().map(|record| {
            record.critical_since.map_or(record.expires_at, |since| since + REAPED_AFTER)
        });
        let seen = self.views.iter().map(|view| view.at + self.behind);
        let held = self.leaderless_until.max(self.down_until);
        records
            .map(|at| at.max(held))
            .chain(seen)
            .chain([self.lags_until, self.leaderless_until])
            .filter(|at| *at > now)
            .min()
    }

    fn view(&self, now: Instant) -> &View {
        let lags = now < self.lags_until;
        let seen = |view: &&View| !lags || view.at + self.behind <= now;
        self.views.iter().rev().find(seen).unwrap_or(&self.views[0])
    }

    /// What the leader has.
    pub(super) fn catalog(&self) -> &[Arc<Instance>] {
        self.views.last().map_or(&[], |view| &view.instances)
    }

    /// Adds a state if it differs from the last one. Agents keep what they have until there is a leader.
    fn changed(&mut self, now: Instant) {
        if now < self.leaderless_until {
            return;
        }
        let instances: Vec<_> =
            self.records.iter().map(|(process, record)| record.instance(*process)).collect();
        let last = &self.views[self.views.len() - 1];
        if last.instances != instances {
            let index = last.index + 1;
            self.views.push(View { at: now, index, instances });
        }
    }
}

impl Record {
    fn set(&mut self, status: CheckStatus, now: Instant) {
        self.status = status;
        self.critical_since = match status {
            CheckStatus::Critical => self.critical_since.or(Some(now)),
            CheckStatus::Passing | CheckStatus::Warning => None,
        };
    }

    fn instance(&self, process: usize) -> Arc<Instance> {
        let status = match self.status {
            _ if self.is_in_maintenance => Status::Maintenance,
            CheckStatus::Passing => Status::Passing,
            CheckStatus::Warning => Status::Warning,
            CheckStatus::Critical => Status::Critical,
        };
        let port = port_of(process);
        let mut instance = Instance::at("web", Host::Ip([10, 0, 0, 1].into()), port);
        instance.node = "larry".into();
        instance.id = format!("web-{port}").into();
        instance.status = status;
        instance.meta.insert(INCARNATION.into(), self.run.to_string());
        Arc::new(instance)
    }
}

/// The process of an instance, and its run.
pub(super) fn copy_of(instance: &Instance) -> (usize, u64) {
    let run = instance.meta.get(INCARNATION).and_then(|run| run.parse().ok());
    (usize::from(instance.port - 1), run.expect("each instance has a run"))
}

fn port_of(process: usize) -> u16 {
    u16::try_from(process + 1).expect("few processes")
}
