//! The task of a watch: passes events to its machine and performs the effects. It makes no decision of its own.

use tokio::time::{Instant, sleep_until};

use super::{
    backends::Backends,
    machine::{Event, Machine, Next, Notice},
};
use crate::Random;

/// Watches until it is dropped.
pub(super) async fn watch(backends: Backends, publish: impl Fn(Notice), random: Random) {
    let mut machine = Machine::new(Instant::now());
    let mut event = Event::Due;
    loop {
        let step = machine.step(event, Instant::now(), random.f64());
        if let Some(notice) = step.notice {
            publish(notice);
        }
        event = match step.next {
            Next::SleepUntil(at) => {
                sleep_until(at).await;
                Event::Due
            }
            Next::Ask(after) => match backends.ask(after).await {
                Ok(reply) => Event::Answered(reply),
                Err(error) => Event::Failed(error),
            },
        };
    }
}
