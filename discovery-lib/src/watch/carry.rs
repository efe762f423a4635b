//! The task of a watch: brings events to its machine and does what that says. It decides nothing itself.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    machine::{Event, Machine, Next, Reply},
    publish::Publisher,
    snapshot::Origin,
};
use crate::Error;

/// Something that can be asked for all instances of a service. Each question has a deadline.
pub(super) trait Source: Send + Sync + 'static {
    /// What its snapshots say that they come from.
    const ORIGIN: Origin;

    /// Asks once: for an answer after this index, waiting for it at most so long, or for one at once.
    fn ask(
        &self,
        after: Option<(u64, Duration)>,
    ) -> impl Future<Output = Result<Reply, Error>> + Send;

    /// Whom it asks, for errors.
    fn whom(&self) -> String;
}

/// Watches until it is dropped.
pub(super) async fn carry<S: Source>(source: S, publisher: Publisher) {
    let mut machine = Machine::new(S::ORIGIN, Instant::now());
    let mut event = Event::Due;
    loop {
        let step = machine.step(event, Instant::now(), fastrand::f64());
        if let Some(tell) = step.tell {
            publisher.tell(tell);
        }
        event = match step.next {
            Next::SleepUntil(at) => {
                sleep_until(at).await;
                Event::Due
            }
            Next::Ask(after) => match source.ask(after).await {
                Ok(reply) => Event::Answered(reply),
                Err(error) => Event::Failed(error),
            },
        };
    }
}
