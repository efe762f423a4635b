//! A timer of the worker that is due before those of new connections.
//!
//! A runtime whose next timer moves forward writes to a descriptor of its own, and so wakes itself once more. The time limit of a connect would
//! do that for nearly every connection. With an earlier timer it does not.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{task::spawn_local, time::sleep};

/// Less than the usual time limits of new connections, which are seconds.
const PERIOD: Duration = Duration::from_millis(500);

/// Runs while there are new connections, so that an idle worker sleeps.
#[derive(Debug, Default)]
pub(super) struct EarlyTimer(Cell<State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Off,
    /// There was no new connection in this period.
    Unused,
    Used,
}

impl EarlyTimer {
    /// There is a new connection.
    pub(super) fn keep(self: &Rc<Self>) {
        if self.0.replace(State::Used) == State::Off {
            spawn_local(Rc::clone(self).run());
        }
    }

    async fn run(self: Rc<Self>) {
        while self.0.replace(State::Unused) == State::Used {
            sleep(PERIOD).await;
        }
        self.0.set(State::Off);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_as_long_as_there_are_new_connections() {
        let timer = Rc::new(EarlyTimer::default());
        let connections = async {
            for _ in 0..3 {
                timer.keep();
                sleep(PERIOD).await;
                assert_ne!(timer.0.get(), State::Off);
            }
            sleep(2 * PERIOD).await;
            assert_eq!(timer.0.get(), State::Off);
            timer.keep();
            sleep(PERIOD / 2).await;
            assert_eq!(timer.0.get(), State::Unused);
        };
        LocalSet::new().run_until(connections).await;
    }
}
