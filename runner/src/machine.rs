//! What an event of the wrapper or of its program leads to. A pure state machine: (state, event) -> effects, which [`super::run`] executes.
//!
//! ```text
//! Running --SIGTERM, SIGINT--> Leaving --drained, or a second signal--> Ending
//!    '---------------- the program ended, from each of them ----------> Ended
//! ```
//!
//! The rules for signals, after what tini, dumb-init and docker's init do:
//! - SIGTERM and SIGINT begin the shutdown. The program gets the signal itself when the drain is over, or at once with the second one; each
//!   further one is passed on.
//! - Every other signal is passed on as it is, at any time, to the program alone and not to its group, as `docker kill` would without a wrapper.
//! - The program has a process group of its own, so that Ctrl-C on a terminal reaches the wrapper only. So Ctrl-Z (SIGTSTP) and SIGCONT go to
//!   the whole group, as a terminal sends them, and a wrapper whose program stopped stops too: its shell takes over.
//! - A program that stops because it uses the terminal from the background gets the terminal. Then Ctrl-C reaches the program alone.

use rustix::process::Signal;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The wrapper received a signal.
    Received(Signal),
    /// The time of the drain is over.
    Drained,
    /// A service is no longer registered, as ordered.
    Left,
    /// A service can't be kept registered, ever.
    Failed,
    /// The program stopped.
    Stopped(Stop),
    /// The program ended.
    Ended,
}

/// Why a program stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// By SIGTSTP: Ctrl-Z.
    Suspended,
    /// By SIGTTIN or SIGTTOU: it needs the terminal.
    NeedsTerminal(Signal),
    /// By any other signal.
    Other,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// All services leave, and the drain begins.
    Leave,
    /// All services leave at once: there is nothing to drain.
    LeaveNow,
    /// Send a signal to the program.
    Send(Signal),
    /// Send a signal to the group of the program.
    SendToGroup(Signal),
    /// Stop the wrapper, until it is continued.
    Suspend,
    /// Hand the terminal to the program and continue it; if the wrapper does not have it, stop the wrapper with this signal.
    HandTerminal(Signal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The services leave. The program gets the signal afterwards.
    Leaving(Signal),
    /// The program got the signal.
    Ending,
    Ended,
}

#[derive(Debug)]
pub(crate) struct Machine(Phase);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(Phase::Running)
    }

    /// Whether the end of the drain is awaited.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.0, Phase::Leaving(_))
    }

    /// The effect of `event`, if it has one.
    pub(crate) fn on(&mut self, event: Event) -> Option<Effect> {
        match (self.0, event) {
            (Phase::Ended, _) => None,
            (_, Event::Ended) => {
                self.0 = Phase::Ended;
                Some(Effect::LeaveNow)
            }
            (phase, Event::Received(signal @ (Signal::TERM | Signal::INT))) => {
                Some(self.shutdown(phase, signal))
            }
            (_, Event::Received(signal @ (Signal::TSTP | Signal::CONT))) => {
                Some(Effect::SendToGroup(signal))
            }
            (_, Event::Received(signal)) => Some(Effect::Send(signal)),
            (Phase::Leaving(signal), Event::Drained) => Some(self.end(signal)),
            (Phase::Running | Phase::Leaving(_), Event::Failed) => Some(self.end(Signal::TERM)),
            (_, Event::Stopped(Stop::Suspended)) => Some(Effect::Suspend),
            (_, Event::Stopped(Stop::NeedsTerminal(signal))) => Some(Effect::HandTerminal(signal)),
            (_, Event::Stopped(Stop::Other) | Event::Drained | Event::Failed | Event::Left) => None,
        }
    }

    fn shutdown(&mut self, phase: Phase, signal: Signal) -> Effect {
        if phase == Phase::Running {
            self.0 = Phase::Leaving(signal);
            Effect::Leave
        } else {
            self.end(signal)
        }
    }

    fn end(&mut self, signal: Signal) -> Effect {
        self.0 = Phase::Ending;
        Effect::Send(signal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal() -> impl Strategy<Value = Signal> {
        proptest::sample::select(vec![
            Signal::TERM,
            Signal::INT,
            Signal::HUP,
            Signal::QUIT,
            Signal::USR1,
            Signal::WINCH,
            Signal::TSTP,
            Signal::CONT,
        ])
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => signal().prop_map(Event::Received),
            2 => Just(Event::Drained),
            1 => Just(Event::Failed),
            1 => Just(Event::Left),
            1 => Just(Event::Stopped(Stop::Suspended)),
            1 => Just(Event::Stopped(Stop::NeedsTerminal(Signal::TTIN))),
            1 => Just(Event::Stopped(Stop::Other)),
            1 => Just(Event::Ended),
        ]
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        proptest::collection::vec(event(), 0..20)
    }

    fn ends(signal: Signal) -> bool {
        matches!(signal, Signal::TERM | Signal::INT)
    }

    proptest! {
        #[test]
        fn the_program_gets_a_shutdown_signal_only_after_the_drain_or_a_second_one(events in events()) {
            let mut machine = Machine::new();
            let (mut shutdowns, mut drained, mut failed) = (0, false, false);
            for event in events {
                shutdowns += u32::from(matches!(event, Event::Received(signal) if ends(signal)));
                drained |= event == Event::Drained && shutdowns > 0;
                failed |= event == Event::Failed;
                if let Some(Effect::Send(signal)) = machine.on(event) && ends(signal) {
                    prop_assert!(drained || failed || shutdowns >= 2);
                }
            }
        }

        #[test]
        fn services_leave_at_most_once_and_before_the_program_gets_the_signal(events in events()) {
            let mut machine = Machine::new();
            let effects: Vec<_> = events.into_iter().filter_map(|event| machine.on(event)).collect();
            let leaves = effects.iter().filter(|it| **it == Effect::Leave).count();
            let at_once = effects.iter().filter(|it| **it == Effect::LeaveNow).count();
            prop_assert!(leaves <= 1 && at_once <= 1);
        }

        #[test]
        fn any_other_signal_is_passed_on_until_the_program_ends(events in events()) {
            let mut machine = Machine::new();
            let mut has_ended = false;
            for event in events {
                let effect = machine.on(event);
                if let Event::Received(signal) = event && !ends(signal) {
                    let is_passed = effect == Some(Effect::Send(signal))
                        || effect == Some(Effect::SendToGroup(signal));
                    prop_assert_eq!(is_passed, !has_ended, "{:?}", signal);
                }
                if has_ended {
                    prop_assert_eq!(effect, None);
                }
                has_ended |= event == Event::Ended;
            }
        }

        #[test]
        fn each_end_of_the_program_makes_the_services_leave(events in events()) {
            let mut machine = Machine::new();
            for event in events {
                let effect = machine.on(event);
                if event == Event::Ended {
                    prop_assert_eq!(effect, Some(Effect::LeaveNow));
                    break;
                }
            }
        }
    }

    #[test]
    fn the_rows_of_a_shutdown() {
        use Effect::{Leave, LeaveNow, Send};
        use Event::{Drained, Ended, Failed, Received};
        let (term, int) = (Signal::TERM, Signal::INT);
        let check = |events: &[Event], effects: &[Effect]| {
            let mut machine = Machine::new();
            let found: Vec<_> = events.iter().filter_map(|event| machine.on(*event)).collect();
            assert_eq!(found, effects, "{events:?}");
        };
        check(&[Received(term), Drained, Ended], &[Leave, Send(term), LeaveNow]);
        check(&[Received(int), Drained], &[Leave, Send(int)]);
        // The second signal ends the drain; the one that came last is sent.
        check(&[Received(int), Received(term), Drained], &[Leave, Send(term)]);
        check(&[Received(int); 4], &[Leave, Send(int), Send(int), Send(int)]);
        check(&[Received(term), Ended, Drained], &[Leave, LeaveNow]);
        check(&[Failed, Ended], &[Send(term), LeaveNow]);
        check(&[Drained, Received(Signal::HUP)], &[Send(Signal::HUP)]);
    }
}
