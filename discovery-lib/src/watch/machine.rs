//! The watch as a pure state machine: an event and its time go in, an optional notice and one next action come out. It has no socket, no clock
//! and no task: `task` drives it, as tests and simulations can.
//!
//! At most one query is outstanding, since each step has exactly one next action. The same machine serves Consul's catalog, whose queries wait
//! for a change after an index, and its DNS, whose answers have no index and are polled.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    index::{Verdict, judge},
    pace::{BACKOFF_MAX, Bucket},
    snapshot::{Origin, Remarks, Snapshot},
};
use crate::{Error, Instance, backoff::backoff};

/// The longest wait of a blocking query, before jitter. Longer sends fewer queries, and makes the age of a quiet service less precise.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// The shortest wait. A query waits no longer than its watch has existed: Consul holds a query whose client is gone until its wait ends, so
/// what a program that is restarted over and over leaves behind is bounded by its lifetime.
pub(super) const WAIT_MIN: Duration = Duration::from_secs(1);
/// Each wait is extended by up to this share of it, so that watches that started together spread out.
pub(super) const WAIT_JITTER: f64 = 0.1;
/// The shortest interval of polls, whatever the TTL (Consul's DNS answers with 0).
pub(super) const POLL_MIN: Duration = Duration::from_secs(1);
/// The longest interval of polls, whatever the TTL.
pub(super) const POLL_MAX: Duration = Duration::from_secs(30);
/// Each poll is delayed by up to this share of its interval.
pub(super) const POLL_JITTER: f64 = 0.1;

/// An input of the machine.
#[derive(Debug)]
pub(crate) enum Event {
    /// The watch starts, or its sleep ended.
    Due,
    /// The query failed.
    Failed(Error),
    /// The query was answered.
    Answered(Reply),
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Which backend answered.
    pub(crate) origin: Origin,
    /// All instances, in the order of the snapshot.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// Consul's index; none where there is none.
    pub(crate) index: Option<u64>,
    /// How far the answering server was behind its leader when the query arrived.
    pub(crate) last_contact: Duration,
    /// How long the answer may be cached, if it is polled.
    pub(crate) ttl: Duration,
    /// What explains the instances.
    pub(crate) remarks: Remarks,
}

impl Reply {
    /// The snapshot that it is, as of this time.
    pub(super) fn into_snapshot(self, at: Instant) -> Snapshot {
        let (index, remarks) = (self.index.unwrap_or(0), Arc::new(self.remarks));
        let snapshot = Snapshot::new(self.instances, self.origin, at).older(self.last_contact);
        Snapshot { index, remarks, ..snapshot }
    }
}

/// The effects of an event: an optional notice, and one next action.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) notice: Option<Notice>,
    pub(crate) next: Next,
}

/// A notification for watches.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The full answer.
    Answer(Snapshot),
    /// The query failed. The last snapshot is kept.
    Failure(Error),
}

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send the query, waiting this long for a change after this index; none: for an answer at once. `Failed` or `Answered` follows.
    Ask(Option<(u64, Duration)>),
    /// `Due` follows at this time.
    SleepUntil(Instant),
}

/// The state of a watch.
#[derive(Debug)]
pub(crate) struct Machine {
    started_at: Instant,
    /// The index that the next query carries.
    after: Option<u64>,
    /// The index that the last query carried, and when it was sent.
    asked: Option<u64>,
    sent_at: Instant,
    /// In a row.
    failures: u32,
    bucket: Bucket,
}

impl Machine {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            started_at: now,
            after: None,
            asked: None,
            sent_at: now,
            failures: 0,
            bucket: Bucket::full(),
        }
    }

    /// The effects of an event. `draw` is uniform in 0..1.
    pub(crate) fn step(&mut self, event: Event, now: Instant, draw: f64) -> Step {
        let reply = match event {
            Event::Due => return Step { notice: None, next: self.ask(now, draw) },
            Event::Failed(error) => return self.failed(error, now, draw),
            Event::Answered(reply) => reply,
        };
        self.failures = 0;
        let (after, as_of, not_before) = match judge(self.asked, reply.index) {
            // Without an index there is no waiting: a poll.
            Verdict::Missing => (None, now, self.next_poll(reply.ttl, draw)),
            // Restored or reloaded state, or another server: start over without the index. The query may have waited, as below.
            Verdict::Backwards => (None, self.sent_at, now),
            // The wait ended, and the server states its delay as of the arrival of the query (M7). If it did not wait, poll.
            Verdict::Still(index) => {
                (Some(index), self.sent_at, self.next_poll(Duration::ZERO, draw))
            }
            Verdict::Forward(index) => (Some(index), now, now),
        };
        self.after = after;
        let snapshot = reply.into_snapshot(as_of);
        let next =
            if not_before > now { Next::SleepUntil(not_before) } else { self.ask(now, draw) };
        Step { notice: Some(Notice::Answer(snapshot)), next }
    }

    /// After any failure the agent may be a new one. A new agent blocks on an index of its predecessor, which is in its future, until the wait
    /// ends (M2). So the next query carries none.
    fn failed(&mut self, error: Error, now: Instant, draw: f64) -> Step {
        self.after = None;
        self.failures = self.failures.saturating_add(1);
        let next = Next::SleepUntil(now + backoff(self.failures, BACKOFF_MAX, draw));
        Step { notice: Some(Notice::Failure(error)), next }
    }

    /// Sends the query as soon as the bucket allows.
    fn ask(&mut self, now: Instant, draw: f64) -> Next {
        let ready_at = self.bucket.ready_at(now);
        if ready_at > now {
            return Next::SleepUntil(ready_at);
        }
        self.bucket.take(now);
        self.asked = self.after;
        self.sent_at = now;
        let wait = (now - self.started_at).clamp(WAIT_MIN, WAIT_MAX);
        Next::Ask(self.after.map(|index| (index, wait.mul_f64(1.0 + WAIT_JITTER * draw))))
    }

    /// Counted from the time at which the last query was sent, so that the next one follows one that waited at once.
    fn next_poll(&self, ttl: Duration, draw: f64) -> Instant {
        self.sent_at + ttl.clamp(POLL_MIN, POLL_MAX).mul_f64(1.0 + POLL_JITTER * draw)
    }
}

#[cfg(test)]
mod tests;
