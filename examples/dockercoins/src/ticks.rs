//! A loop that runs at an interval until the shutdown of its service begins.

use std::time::Duration;

use discovery::Lifecycle;
use tokio::{
    select,
    time::{Interval, MissedTickBehavior, interval},
};

/// Ticks at an interval, the first one at once. After a delay there is one tick, not one for each that was missed.
#[derive(Debug)]
pub(crate) struct Ticks<'a> {
    interval: Interval,
    lifecycle: &'a Lifecycle,
}

impl<'a> Ticks<'a> {
    pub(crate) fn new(every: Duration, lifecycle: &'a Lifecycle) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, lifecycle }
    }

    /// Waits for the next tick. False once the shutdown has begun.
    pub(crate) async fn next(&mut self) -> bool {
        select! {
            biased;
            () = self.lifecycle.shutdown() => false,
            _ = self.interval.tick() => true,
        }
    }
}
