//! How long a request waits for each of its two ends. Pure: the clock is read only when something has moved.

use std::time::Duration;

use tokio::time::Instant;

use crate::HttpTimeouts;

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

/// The deadline of the present wait.
#[derive(Debug)]
pub(super) struct WaitTimer {
    timeouts: HttpTimeouts,
    wait: Wait,
    moved: u64,
    since: Instant,
}

impl Wait {
    /// How long this may last.
    pub(super) fn timeout(self, timeouts: &HttpTimeouts) -> Duration {
        match self {
            Self::Answer => timeouts.response,
            Self::InstanceReads | Self::InstanceSends => timeouts.stall,
            Self::ClientSends | Self::ClientReads => timeouts.client,
        }
    }
}

impl WaitTimer {
    /// A wait that starts now.
    pub(super) fn new(timeouts: HttpTimeouts, wait: Wait, now: Instant) -> Self {
        Self { timeouts, wait, moved: 0, since: now }
    }

    /// What it waits for.
    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// How long it waits for that.
    pub(super) fn timeout(&self) -> Duration {
        self.wait.timeout(&self.timeouts)
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
        self.since + self.timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_starts_when_something_moved() {
        use Wait::{Answer, ClientReads, ClientSends, InstanceReads, InstanceSends};
        let secs = Duration::from_secs;
        let timeouts = HttpTimeouts {
            response: secs(30),
            stall: secs(60),
            client: secs(10),
            ..HttpTimeouts::default()
        };
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
            let mut timer = WaitTimer::new(timeouts, first, start);
            let mut last = start;
            for &(wait, moved, at) in steps {
                last = timer.until(wait, moved, || start + secs(at));
            }
            assert_eq!((last - start).as_secs(), until, "{steps:?}");
            assert_eq!(timer.wait(), steps[steps.len() - 1].0);
        }
    }
}
