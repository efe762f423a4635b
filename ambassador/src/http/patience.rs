//! How long a request waits for each of its two ends. Pure: the clock is read only when something has moved.

use std::time::Duration;

use tokio::time::Instant;

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The head of the response.
    Answer,
    /// The instance, to accept more of the request.
    InstanceReads,
    /// The instance, to send more of the response.
    InstanceSends,
    /// The client, to send more of the request.
    ClientSends,
    /// The client, to accept more of the response.
    ClientReads,
}

/// The limits of each wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the end of the request to the head of the response.
    pub(super) answer: Duration,
    /// From one piece to the next, with the instance.
    pub(super) instance: Duration,
    /// The same with the client.
    pub(super) client: Duration,
}

#[derive(Debug)]
pub(super) struct Patience {
    limits: Limits,
    wait: Wait,
    moved: u64,
    since: Instant,
}

impl Limits {
    pub(super) fn of(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Answer => self.answer,
            Wait::InstanceReads | Wait::InstanceSends => self.instance,
            Wait::ClientSends | Wait::ClientReads => self.client,
        }
    }
}

impl Patience {
    /// A wait that starts now.
    pub(super) fn new(limits: Limits, wait: Wait, now: Instant) -> Self {
        Self { limits, wait, moved: 0, since: now }
    }

    /// What it waits for.
    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// How long it waits for that.
    pub(super) fn limit(&self) -> Duration {
        self.limits.of(self.wait)
    }

    /// Until when to wait, after `moved` bytes went either way so far.
    pub(super) fn until(
        &mut self,
        wait: Wait,
        moved: u64,
        now: impl FnOnce() -> Instant,
    ) -> Instant {
        // The first wait has begun when the request did; what was sent at once took no time.
        let is_first = self.moved == 0 && wait == self.wait;
        if !is_first && (wait, moved) != (self.wait, self.moved) {
            self.since = now();
        }
        (self.wait, self.moved) = (wait, moved);
        self.since + self.limits.of(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_starts_when_something_moved() {
        use Wait::{Answer, ClientReads, ClientSends, InstanceReads, InstanceSends};
        let secs = Duration::from_secs;
        let limits = Limits { answer: secs(30), instance: secs(60), client: secs(10) };
        for (first, steps, until) in [
            (Answer, &[(Answer, 100, 0)][..], 30),
            (Answer, &[(Answer, 100, 0), (Answer, 100, 29)], 30),
            (Answer, &[(ClientSends, 100, 1)], 11),
            (Answer, &[(ClientSends, 100, 1), (ClientSends, 100, 9)], 11),
            (Answer, &[(ClientSends, 100, 1), (ClientSends, 200, 9)], 19),
            (Answer, &[(ClientSends, 100, 1), (Answer, 200, 9)], 39),
            (Answer, &[(InstanceReads, 100, 1)], 61),
            (InstanceSends, &[(InstanceSends, 100, 0), (ClientReads, 100, 2)], 12),
            (InstanceSends, &[(InstanceSends, 100, 0), (InstanceSends, 200, 2)], 62),
        ] {
            let start = Instant::now();
            let mut patience = Patience::new(limits, first, start);
            let mut last = start;
            for &(wait, moved, at) in steps {
                last = patience.until(wait, moved, || start + secs(at));
            }
            assert_eq!((last - start).as_secs(), until, "{steps:?}");
            assert_eq!(patience.wait(), steps[steps.len() - 1].0);
        }
    }
}
