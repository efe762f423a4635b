//! The end of a registration: maintenance until the given time, then deregistration, each only after a look that found the record of this run.

use tokio::time::Instant;

use super::{
    Machine, Phase, Turn,
    event::{Effect, Found, Leave, Notice, RegisterOutcome},
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Deregistration {
    step: Step,
    order: Leave,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Waits for a registration in flight, which could otherwise be executed after the deregistration.
    Registration,
    Look(Turn),
    Maintenance,
    Deregistration,
}

impl Deregistration {
    pub(super) fn wakes_at(&self) -> Instant {
        match self.step {
            Step::Look(Turn::At(at)) => at.min(self.order.give_up_at),
            _ => self.order.give_up_at,
        }
    }
}

impl Machine {
    pub(super) fn leave(&mut self, order: Leave) {
        let step = match self.phase {
            Phase::Leaving(leaving) => return self.leave_sooner(leaving, order),
            Phase::Registering => Step::Registration,
            Phase::Active(active) if active.is_updating() => Step::Registration,
            _ if !self.may_be_at_agent() => {
                self.phase = Phase::Left;
                return;
            }
            _ => self.look_while_leaving(),
        };
        self.failures = 0;
        self.phase = Phase::Leaving(Deregistration { step, order });
    }

    /// A second order can only end it sooner.
    fn leave_sooner(&mut self, Deregistration { step, order }: Deregistration, sooner: Leave) {
        let order = Leave {
            deregister_at: order.deregister_at.min(sooner.deregister_at),
            give_up_at: order.give_up_at.min(sooner.give_up_at),
        };
        let step = match step {
            Step::Look(turn) => Step::Look(turn.at_most(order.deregister_at)),
            Step::Registration | Step::Maintenance | Step::Deregistration => step,
        };
        self.phase = Phase::Leaving(Deregistration { step, order });
    }

    pub(super) fn tick_leaving(&mut self, mut leaving: Deregistration, now: Instant) {
        if now >= leaving.order.give_up_at {
            self.notify(Notice::GaveUp);
            self.phase = Phase::Left;
            return;
        }
        if let Step::Look(Turn::At(at)) = leaving.step
            && now >= at
        {
            leaving.step = self.look_while_leaving();
        }
        self.phase = Phase::Leaving(leaving);
    }

    pub(super) fn registered_leaving(&mut self, leaving: Deregistration, outcome: RegisterOutcome) {
        let failed = matches!(outcome, RegisterOutcome::Failed | RegisterOutcome::Refused);
        self.phase = if failed && !self.may_be_at_agent() {
            Phase::Left
        } else {
            Phase::Leaving(Deregistration { step: self.look_while_leaving(), ..leaving })
        };
    }

    pub(super) fn looked_leaving(
        &mut self,
        leaving: Deregistration,
        found: Found,
        now: Instant,
        draw: f64,
    ) {
        let step = match found {
            Found::Nothing | Found::AnotherRun | Found::Edited => {
                self.phase = Phase::Left;
                return;
            }
            Found::Unknown => Step::Look(self.after_backoff(now, draw)),
            Found::Ours { .. } | Found::Outdated if now < leaving.order.deregister_at => {
                self.effects.push(Effect::Maintain);
                Step::Maintenance
            }
            Found::Ours { .. } | Found::Outdated => {
                self.effects.push(Effect::Deregister);
                Step::Deregistration
            }
        };
        self.phase = Phase::Leaving(Deregistration { step, ..leaving });
    }

    pub(super) fn maintained(&mut self) {
        if let Phase::Leaving(Deregistration { step, order }) = &mut self.phase {
            *step = Step::Look(Turn::At(order.deregister_at));
        }
    }

    pub(super) fn deregistered(&mut self, done: bool, now: Instant, draw: f64) {
        let Phase::Leaving(leaving) = self.phase else { return };
        self.phase = if done {
            Phase::Left
        } else {
            let step = Step::Look(self.after_backoff(now, draw));
            Phase::Leaving(Deregistration { step, ..leaving })
        };
    }

    /// Starts a new epoch: results of earlier looks are ignored.
    fn look_while_leaving(&mut self) -> Step {
        self.epoch += 1;
        self.effects.push(Effect::Look { epoch: self.epoch, catalog: false });
        Step::Look(Turn::Awaited)
    }
}
