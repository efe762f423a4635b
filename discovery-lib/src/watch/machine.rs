//! The watch as a pure machine: what happened and when goes in, what to tell and what to do next comes out. No socket, no clock, no task:
//! `carry` brings the events, tests and simulations can too.
//!
//! One question is outstanding at most, since each step has exactly one next thing to do. The same machine serves Consul's catalog, whose
//! questions wait for a change after an index, and its DNS, whose answers have no index and are polled.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    index::{Verdict, judge},
    pace::{BACKOFF_MAX, Bucket},
    snapshot::{Origin, Snapshot},
};
use crate::{Error, Instance, backoff::backoff};

/// How long a question waits for a change at most, before jitter. Longer asks less often, and makes the age of a quiet service say less.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long it waits at least. A question waits no longer than its watch has lived: Consul keeps a question whose client is gone until its
/// wait ends, so what a program leaves behind that is started and ended over and over is bounded by the time that it lived.
pub(super) const WAIT_MIN: Duration = Duration::from_secs(1);
/// Each wait is longer by up to this share of it, so that watches which started together do not ask together forever.
pub(super) const WAIT_JITTER: f64 = 0.1;
/// Polls are at least so far apart, whatever the TTL says (Consul's DNS says 0).
pub(super) const POLL_MIN: Duration = Duration::from_secs(1);
/// Polls are at most so far apart, whatever the TTL says.
pub(super) const POLL_MAX: Duration = Duration::from_secs(30);
/// Each poll is put off by up to this share of its interval.
pub(super) const POLL_JITTER: f64 = 0.1;

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// The watch starts, or the moment came that it slept until.
    Due,
    /// The question was not answered, or with no answer.
    Failed(Error),
    /// The question was answered.
    Answered(Reply),
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// All instances, sorted.
    pub(super) instances: Vec<Instance>,
    /// Consul's index; none where there is none.
    pub(super) index: Option<u64>,
    /// How far the answering server was behind its leader when the question arrived.
    pub(super) last_contact: Duration,
    /// How long the answer may be kept, where it is polled.
    pub(super) ttl: Duration,
}

impl Reply {
    /// What it says of the service at this moment.
    pub(super) fn into_snapshot(self, origin: Origin, at: Instant) -> Snapshot {
        Snapshot {
            instances: self.instances.into_iter().map(Arc::new).collect(),
            index: self.index.unwrap_or(0),
            origin,
            as_of: at.checked_sub(self.last_contact).unwrap_or(at),
        }
    }
}

/// What to do about it: perhaps tell something, and then exactly one thing.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) tell: Option<Tell>,
    pub(super) next: Next,
}

/// What to tell those who watch.
#[derive(Debug)]
pub(super) enum Tell {
    /// The full answer.
    Publish(Snapshot),
    /// Why there is none. The last snapshot stays.
    Report(Error),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask, and wait for a change after this index for so long; none: for an answer at once. Bring `Failed` or `Answered`.
    Ask(Option<(u64, Duration)>),
    /// Bring `Due` then.
    SleepUntil(Instant),
}

/// The state of a watch.
#[derive(Debug)]
pub(super) struct Machine {
    origin: Origin,
    started_at: Instant,
    /// The index that the next question carries.
    after: Option<u64>,
    /// The index that the last question carried, and when it was sent.
    asked: Option<u64>,
    sent_at: Instant,
    /// In a row.
    failures: u32,
    bucket: Bucket,
}

impl Machine {
    pub(super) const fn new(origin: Origin, now: Instant) -> Self {
        Self {
            origin,
            started_at: now,
            after: None,
            asked: None,
            sent_at: now,
            failures: 0,
            bucket: Bucket::full(),
        }
    }

    /// Takes an event. `draw` is uniform in 0..1.
    pub(super) fn step(&mut self, event: Event, now: Instant, draw: f64) -> Step {
        let reply = match event {
            Event::Due => return Step { tell: None, next: self.ask(now, draw) },
            Event::Failed(error) => return self.failed(error, now, draw),
            Event::Answered(reply) => reply,
        };
        self.failures = 0;
        let (after, as_of, not_before) = match judge(self.asked, reply.index) {
            // It can't be waited for: a poll.
            Verdict::Missing => (None, now, self.next_poll(reply.ttl, draw)),
            // Restored or reloaded state, or another server: its index is worth nothing, and it may have waited, as below.
            Verdict::Backwards => (None, self.sent_at, now),
            // The wait ended, and what the server said of itself it said when the question came (M7). Where it did not wait, poll.
            Verdict::Still(index) => {
                (Some(index), self.sent_at, self.next_poll(Duration::ZERO, draw))
            }
            Verdict::Forward(index) => (Some(index), now, now),
        };
        self.after = after;
        let snapshot = reply.into_snapshot(self.origin, as_of);
        let next =
            if not_before > now { Next::SleepUntil(not_before) } else { self.ask(now, draw) };
        Step { tell: Some(Tell::Publish(snapshot)), next }
    }

    /// Whatever failed, the agent may be another one when it is back: one that was started anew sits on an index of its predecessor, which
    /// is in its future, until the wait ends (M2). So the next question carries none.
    fn failed(&mut self, error: Error, now: Instant, draw: f64) -> Step {
        self.after = None;
        self.failures = self.failures.saturating_add(1);
        let next = Next::SleepUntil(now + backoff(self.failures, BACKOFF_MAX, draw));
        Step { tell: Some(Tell::Report(error)), next }
    }

    /// Asks as soon as the bucket allows.
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

    /// Counted from when the last question was sent, so that one that waited is followed at once.
    fn next_poll(&self, ttl: Duration, draw: f64) -> Instant {
        self.sent_at + ttl.clamp(POLL_MIN, POLL_MAX).mul_f64(1.0 + POLL_JITTER * draw)
    }
}

#[cfg(test)]
mod tests;
