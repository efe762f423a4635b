//! When the snapshot of a query is written to disk, as a pure state machine: the time is an argument.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Origin, Snapshot};

/// The shortest interval of two writes of a query. Shorter loses less at a crash; under churn it writes and syncs more.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// While the instances stay the same, the interval of writes that renew the time of the answer.
pub(super) const REFRESH: Duration = Duration::from_secs(60);
/// The pause after a write that failed.
pub(super) const RETRY: Duration = Duration::from_secs(10);
/// How long an answer without instances must last before it replaces a list of instances: as long as a pool keeps its reserve by default. A
/// Consul that lost its data gives that answer until its services have registered again.
pub(super) const EMPTY_AFTER: Duration = Duration::from_secs(60);

/// The next action.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing, until the watch publishes a change.
    Wait,
    /// Nothing, until this time or a change.
    SleepUntil(Instant),
    /// Write this snapshot. [`Writes::written`] or [`Writes::failed`] follows.
    Write(Arc<Snapshot>),
}

/// What was written, and when.
#[derive(Debug, Default)]
pub(super) struct Writes {
    last: Option<Written>,
    not_before: Option<Instant>,
    /// Since when the answer has no instance.
    empty_since: Option<Instant>,
    is_failing: bool,
}

#[derive(Debug)]
struct Written {
    snapshot: Arc<Snapshot>,
    at: Instant,
}

impl Writes {
    /// What to do now that this is the latest snapshot.
    pub(super) fn next(&mut self, latest: Option<&Arc<Snapshot>>, now: Instant) -> Next {
        let Some(latest) = latest.filter(|latest| is_of_consul(latest.origin)) else {
            return Next::Wait;
        };
        let is_empty = latest.instances.is_empty();
        self.empty_since = is_empty.then(|| self.empty_since.unwrap_or(now));
        let last = self.last.as_ref().filter(|last| last.snapshot.instances == latest.instances);
        let due_at = match (last, self.empty_since) {
            (Some(_), Some(_)) => return Next::Wait,
            (Some(last), None) => last.refresh_at(latest, now),
            (None, Some(since)) => since + EMPTY_AFTER,
            (None, None) => now,
        };
        let due_at = self.not_before.map_or(due_at, |at| at.max(due_at));
        if due_at > now { Next::SleepUntil(due_at) } else { Next::Write(Arc::clone(latest)) }
    }

    /// A snapshot was written. Returns whether that is the end of failures.
    pub(super) fn written(&mut self, snapshot: Arc<Snapshot>, now: Instant) -> bool {
        self.last = Some(Written { snapshot, at: now });
        self.not_before = Some(now + INTERVAL);
        std::mem::replace(&mut self.is_failing, false)
    }

    /// A write failed. Returns whether it is the first one after a success.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        // What is on disk now is not known.
        self.last = None;
        self.not_before = Some(now + RETRY);
        !std::mem::replace(&mut self.is_failing, true)
    }
}

impl Written {
    fn refresh_at(&self, latest: &Snapshot, now: Instant) -> Instant {
        let refresh_at = self.at + REFRESH;
        if refresh_at <= now && latest.as_of <= self.snapshot.as_of {
            return now + REFRESH;
        }
        refresh_at
    }
}

/// A fixed list needs no copy, and what is from disk is there already.
fn is_of_consul(origin: Origin) -> bool {
    match origin {
        Origin::Catalog | Origin::PreparedQuery | Origin::Dns => true,
        Origin::Fixed | Origin::Disk => false,
    }
}

#[cfg(test)]
mod tests;
