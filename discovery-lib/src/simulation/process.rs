//! A process that serves, and its registrar.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    requests::{Ask, Party},
    world::{Happens, World},
};
use crate::registration::{
    RegistrationState,
    machine::{Effect, Event, HEARTBEAT_EVERY, Machine, tests::unanswered::deadline},
};

#[derive(Debug)]
pub(super) struct Process {
    /// The number of its last start, among those of all processes.
    pub(super) run: u64,
    /// None while it does not run.
    pub(super) machine: Option<Machine>,
    pub(super) listens_at: Instant,
    pub(super) is_leaving: bool,
    pub(super) hangs_until: Instant,
    pub(super) errs_until: Instant,
    /// Nothing passes between it and its agent until then.
    pub(super) cut_until: Instant,
}

impl Process {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            run: 0,
            machine: None,
            listens_at: now,
            is_leaving: false,
            hangs_until: now,
            errs_until: now,
            cut_until: now,
        }
    }

    pub(super) fn start(&mut self, run: u64, listens_at: Instant, now: Instant) {
        self.machine = Some(Machine::new(now, Some(HEARTBEAT_EVERY)));
        (self.run, self.listens_at, self.is_leaving) = (run, listens_at, false);
    }

    pub(super) fn end(&mut self) {
        self.machine = None;
    }

    pub(super) fn listens(&self, now: Instant) -> bool {
        self.machine.is_some() && now >= self.listens_at
    }

    /// Whether it serves, and has no reason not to be called.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        self.listens(now) && !self.is_leaving
    }

    pub(super) fn state(&self) -> Option<RegistrationState> {
        self.machine.as_ref().map(Machine::state)
    }
}

impl World {
    pub(super) fn starts(&mut self, process: usize) {
        self.runs += 1;
        let listens_at = self.now + Duration::from_secs(2).mul_f64(self.rng.f64());
        self.processes[process].start(self.runs, listens_at, self.now);
        self.wakes(process);
    }

    pub(super) fn feed(&mut self, process: usize, event: Event) {
        let draw = self.rng.f64();
        let Some(machine) = &mut self.processes[process].machine else { return };
        let effects = machine.on(event, self.now, draw);
        for effect in effects {
            self.perform(process, effect);
        }
        match self.processes[process].state() {
            Some(RegistrationState::Left) => {
                self.processes[process].end();
                self.tally.shutdowns += 1;
            }
            Some(RegistrationState::Replaced) => {
                panic!("process {process} took a copy of itself for another run")
            }
            _ => self.wakes(process),
        }
    }

    fn wakes(&mut self, process: usize) {
        let Process { run, machine, .. } = &self.processes[process];
        if let Some(at) = machine.as_ref().and_then(|it| it.wakes_at()) {
            let (at, run) = (at.max(self.now), *run);
            self.at(at, Happens::Wakes(process, run));
        }
    }

    fn perform(&mut self, process: usize, effect: Effect) {
        match effect {
            Effect::Notice(_) => {}
            Effect::Probe => {
                let run = self.processes[process].run;
                self.at(self.now + Duration::from_millis(1), Happens::Probed(process, run));
            }
            _ => {
                self.rates[process].sent(self.now, false);
                self.tally.registrations += u64::from(matches!(effect, Effect::Register { .. }));
                self.tally.heartbeats += u64::from(matches!(effect, Effect::Heartbeat { .. }));
                self.send(Party::Process(process), Ask::Effect(effect), deadline(effect));
            }
        }
    }
}
