//! The datacenter whose instances are used, as a pure state machine: notices about datacenters go in, the notice to publish and the number of
//! datacenters to watch come out. `datacenters` drives it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    backends::{SLOW_AFTER, all_failed},
    machine::Notice,
    snapshot::Snapshot,
};
use crate::{Error, Status};

/// How long a datacenter whose queries fail counts with its last answer. Longer than an election of a leader or the restart of an agent.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// An input.
#[derive(Debug)]
pub(super) enum Event {
    /// The start, or the time of [`Step::again_at`].
    Due,
    /// The watch of a datacenter, by its position, has a notice.
    Noticed(usize, Notice),
}

/// The effects of an event.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) publish: Option<Notice>,
    /// The first datacenters in the order are to be watched, this many; the others are not.
    pub(super) watched: usize,
    /// `Due` follows at this time, if nothing happens before.
    pub(super) again_at: Option<Instant>,
}

/// The state: what is known of each datacenter, and which one is used.
#[derive(Debug)]
pub(super) struct Failover {
    below: u8,
    sites: Vec<Site>,
    watched: usize,
    used: Option<usize>,
}

/// What is known of a datacenter that is watched.
#[derive(Debug, Clone)]
struct Site {
    watched_since: Instant,
    snapshot: Option<Snapshot>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Failure {
    error: Error,
    since: Instant,
}

/// What becomes of a datacenter when one is chosen.
enum Standing {
    /// It has enough instances.
    Enough {
        until: Option<Instant>,
    },
    /// It has no first answer, and isn't slow until this time.
    Waiting {
        until: Instant,
    },
    TooFew,
}

impl Failover {
    /// Datacenters of this number, at least one, of which each must have this share of instances that are not critical, in percent.
    pub(super) fn new(datacenters: usize, below: u8, now: Instant) -> Self {
        Self { below, sites: vec![Site::new(now); datacenters], watched: 0, used: None }
    }

    /// The position of the datacenter whose instances are used, once there is one.
    pub(super) const fn used(&self) -> Option<usize> {
        self.used
    }

    pub(super) fn step(&mut self, event: Event, now: Instant) -> Step {
        let noticed = match event {
            Event::Noticed(site, notice) if site < self.watched => {
                self.sites[site].note(&notice, now);
                Some((site, notice))
            }
            // One that is not watched any more.
            Event::Noticed(..) | Event::Due => None,
        };
        let before = self.used;
        let again_at = self.choose(now);
        let publish = match (self.used, noticed) {
            (Some(used), _) if before != Some(used) => {
                self.sites[used].snapshot.clone().map(Notice::Answer)
            }
            (Some(used), Some((site, notice))) if site == used => Some(notice),
            (None, Some(_)) => self.all_failed().map(Notice::Failure),
            _ => None,
        };
        Step { publish, watched: self.watched, again_at }
    }

    /// Sets the datacenter that is used, and how many are watched. Returns the time at which this may change by itself.
    fn choose(&mut self, now: Instant) -> Option<Instant> {
        for position in 0..self.sites.len() {
            if position >= self.watched {
                self.sites[position] = Site::new(now);
                self.watched = position + 1;
            }
            match self.sites[position].standing(self.below, now) {
                Standing::Enough { until } => {
                    self.used = Some(position);
                    self.watched = position + 1;
                    return until;
                }
                Standing::Waiting { until } => {
                    // Too few are better than none, and none is not yet the answer.
                    let some =
                        |site: &Site| site.snapshot.as_ref().is_some_and(|it| has_enough(it, 0));
                    self.used = self.used.or_else(|| self.sites.iter().position(some));
                    return Some(until);
                }
                Standing::TooFew => {}
            }
        }
        let first_known = self.sites.iter().position(|site| site.snapshot.is_some());
        self.used = self.used.or(first_known);
        None
    }

    /// The error of the first datacenter, which names the others, if all have failed.
    fn all_failed(&self) -> Option<Error> {
        let errors = self.sites.iter().map(|site| Some(site.failure.as_ref()?.error.clone()));
        errors.collect::<Option<Vec<_>>>().map(all_failed)
    }
}

impl Site {
    const fn new(now: Instant) -> Self {
        Self { watched_since: now, snapshot: None, failure: None }
    }

    fn note(&mut self, notice: &Notice, now: Instant) {
        match notice {
            Notice::Answer(snapshot) => {
                (self.snapshot, self.failure) = (Some(snapshot.clone()), None);
            }
            Notice::Failure(error) => {
                let since = self.failure.as_ref().map_or(now, |failure| failure.since);
                self.failure = Some(Failure { error: error.clone(), since });
            }
        }
    }

    fn standing(&self, below: u8, now: Instant) -> Standing {
        let until = self.failure.as_ref().map(|failure| failure.since + PATIENCE);
        match &self.snapshot {
            Some(snapshot)
                if has_enough(snapshot, below) && until.is_none_or(|until| now < until) =>
            {
                Standing::Enough { until }
            }
            None if self.failure.is_none() && now < self.watched_since + SLOW_AFTER => {
                Standing::Waiting { until: self.watched_since + SLOW_AFTER }
            }
            _ => Standing::TooFew,
        }
    }
}

/// Whether a datacenter with this answer has enough instances that are not critical: one at least, and the share of this percentage.
pub(super) fn has_enough(snapshot: &Snapshot, below: u8) -> bool {
    let callable = |status| matches!(status, Status::Passing | Status::Warning);
    let callable = snapshot.instances.iter().filter(|it| callable(it.status)).count();
    callable > 0 && callable * 100 >= usize::from(below) * snapshot.instances.len()
}

#[cfg(test)]
mod tests;
