//! The values that a watch publishes: always the full set, never a difference, so that a missed one does not matter.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{CheckResult, Error, Instance, ServiceId, agent::LeftOut};

/// The origin of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Consul's HTTP catalog (`/v1/health/service/:name`).
    Catalog,
    /// A prepared query (`/v1/query/:name/execute`).
    PreparedQuery,
    /// Consul's DNS (SRV).
    Dns,
    /// A list that the program was given.
    Fixed,
    /// The disk, where an earlier run of the program wrote the last answer that it had
    /// ([`DiscoveryBuilder::snapshots`](crate::DiscoveryBuilder::snapshots)). There is no answer of Consul since the start of this one.
    Disk,
}

/// The full answer to a query: all instances, whatever their status.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The instances, including critical ones and those in maintenance (DNS leaves them out). Sorted by node and id, or by distance if the
    /// query asks for that.
    pub instances: Arc<[Arc<Instance>]>,
    /// Consul's index of the answer; 0 where there is none (prepared queries, DNS, fixed lists).
    pub index: u64,
    /// The origin of this answer. It may differ from one answer to the next ([`Source::FirstOf`](crate::Source::FirstOf)).
    pub origin: Origin,
    /// The time at which the answer was surely true: its arrival, less the delay of the answering server behind its leader. For a blocking
    /// query whose wait ended without a change, the time at which the query was sent: the server states its delay as of then. For one from
    /// disk, the time of the answer by the wall clock. An [`Instant`] of some systems can't be before their start; then it is the time at which
    /// the file was read. [`Snapshot::age`] is right in any case.
    pub as_of: Instant,
    /// The part of its age that `as_of` can't express.
    pub(crate) older_by: Duration,
    /// What explains the instances and decides nothing.
    pub(crate) remarks: Arc<Remarks>,
}

/// The parts of an answer that only explain it. A change of them alone wakes no watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Remarks {
    /// The checks by node and id.
    pub(crate) checks: HashMap<(Arc<str>, ServiceId), Arc<[CheckResult]>>,
    /// The records that can't be used.
    pub(crate) left_out: Vec<LeftOut>,
    /// Whether ACLs hide further records.
    pub(crate) is_filtered_by_acls: bool,
}

impl Snapshot {
    /// An answer without an index, which was true at this time.
    pub fn new(
        instances: impl IntoIterator<Item = Arc<Instance>>,
        origin: Origin,
        as_of: Instant,
    ) -> Self {
        let instances = instances.into_iter().collect();
        let (older_by, remarks) = (Duration::ZERO, Arc::default());
        Self { instances, index: 0, origin, as_of, older_by, remarks }
    }

    /// What an earlier run wrote to disk, and how old it is now.
    pub(crate) fn from_disk(
        instances: impl IntoIterator<Item = Instance>,
        age: Duration,
        now: Instant,
    ) -> Self {
        Self::new(instances.into_iter().map(Arc::new), Origin::Disk, now).older(age)
    }

    /// This snapshot, which was true this long before.
    pub(super) fn older(self, by: Duration) -> Self {
        match self.as_of.checked_sub(by) {
            Some(as_of) => Self { as_of, ..self },
            None => Self { older_by: self.older_by.saturating_add(by), ..self },
        }
    }

    /// The checks of an instance and of its node, in Consul's order; empty if the answer has none (DNS, fixed lists).
    #[must_use]
    pub fn checks(&self, instance: &Instance) -> &[CheckResult] {
        let key = (Arc::clone(&instance.node), instance.id.clone());
        self.remarks.checks.get(&key).map_or(&[], |checks| checks)
    }

    /// The records of the answer that can't be used, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.remarks.left_out
    }

    /// Whether ACLs hide further records from the token of this client, so that there may be more instances. Consul says so from 1.11 on. An
    /// answer that ACLs emptied is no snapshot but a failure: the last one is kept.
    #[must_use]
    pub fn is_filtered_by_acls(&self) -> bool {
        self.remarks.is_filtered_by_acls
    }

    /// The age of the answer. It grows without limit while Consul can't be reached. That of a snapshot from disk is its age by the wall clock,
    /// across the restarts of the program; a clock that was set back by up to a minute in between makes it look younger by that.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.as_of).saturating_add(self.older_by)
    }
}

/// The known state of a service: the last good snapshot, if there is one, and the failure since then, if there is one. A snapshot from disk
/// ([`Origin::Disk`]) always has a failure beside it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Watched {
    /// The last good answer. An error never removes it.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The error of the last query, or that the first one has no answer in time; none after an answer.
    pub failure: Option<Arc<Error>>,
    /// The queries so far.
    pub(crate) queries: Queries,
}

/// The numbers of queries of a watch that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Queries {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
}

impl From<Snapshot> for Watched {
    /// This answer, and no failure since then.
    fn from(snapshot: Snapshot) -> Self {
        Self { snapshot: Some(Arc::new(snapshot)), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_from_disk_has_its_true_age_even_if_no_instant_is_that_old() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        for age in [Duration::ZERO, second, second * 3600 * 24 * 365 * 100, Duration::MAX - second]
        {
            let snapshot = Snapshot::from_disk([], age, now);
            assert_eq!(snapshot.age(now), age);
            assert_eq!(snapshot.age(now + second), age + second);
        }
    }
}
