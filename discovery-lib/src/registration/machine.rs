//! The registrar: what to say to the agent, and when. A pure machine: (state, event, now, draw) -> effects; [`super::task`] carries them.
//!
//! ```text
//! Probing -> Registering -> Standing (at the agent, then in the catalog) -> Replaced
//!                 ^--- forgotten ---'                     any of them -> Leaving -> Left
//! ```
//!
//! What it holds to, and the simulation in `machine/tests.rs` checks:
//! - never two registrations in flight, and none once it leaves;
//! - a beat every [`BEAT_EVERY`] while it stands, whatever hangs;
//! - silence means "don't know", never "forgotten": it leads to another look, not to another registration;
//! - another run under its id is left alone: no beats for it, and no deregistration.

mod event;
mod leaving;

use std::time::Duration;

use tokio::time::Instant;

pub use event::State;
pub(super) use event::{Effect, Event, Found, Leave, Outcome, Tell};

use crate::{
    agent::LOCAL_WITHIN,
    backoff::{backoff, spread},
};
use leaving::Leaving;

/// From one beat to the next. A third of [`TTL`], so that two may be lost.
pub(super) const BEAT_EVERY: Duration = Duration::from_secs(5);
/// The agent takes an instance for dead that it hasn't heard of for so long.
pub(super) const TTL: Duration = Duration::from_secs(15);
/// What holds the number of beats in flight at one, and two around a new registration.
const _: () = assert!(LOCAL_WITHIN.as_nanos() < BEAT_EVERY.as_nanos());
/// From one look at the agent's own record to the next, once all is well: how long another run under this id is beaten for at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The longest pause after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A registration that stood for so long was no failure: what comes next starts with short pauses again.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// Looks that did not find the instance in the catalog before a person is told: some 5 s.
const LOOKS_UNTIL_TOLD: u32 = 7;

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    /// Counts registrations that the agent has, or may have: what comes back from before the last one says nothing about it.
    epoch: u32,
    /// Failures since the last steady time.
    failures: u32,
    /// Whether the dead were cleared away, which is done once a run.
    has_swept: bool,
    /// What the event at hand led to so far.
    effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Probing(Turn),
    Registering(Turn),
    Standing(Standing),
    Replaced,
    Leaving(Leaving),
    Left,
}

/// One thing at a time: it is due at some moment, or its outcome is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    At(Instant),
    Awaited,
}

/// The agent has the registration, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Standing {
    since: Instant,
    /// Whether the agent said so, in any way; else it may be about to.
    sure: bool,
    in_catalog: bool,
    beat_at: Instant,
    look: Turn,
    /// Looks in a row that left something open.
    looks: u32,
}

impl Machine {
    pub(super) fn new(now: Instant) -> Self {
        let phase = Phase::Probing(Turn::At(now));
        Self { phase, epoch: 0, failures: 0, has_swept: false, effects: Vec::new() }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Probing(_) => State::Probing,
            Phase::Registering(_) | Phase::Standing(Standing { sure: false, .. }) => {
                State::Registering
            }
            Phase::Standing(Standing { in_catalog: false, .. }) => State::Registered,
            Phase::Standing(_) => State::Ready,
            Phase::Replaced => State::Replaced,
            Phase::Leaving(_) => State::Leaving,
            Phase::Left => State::Left,
        }
    }

    /// When the next [`Event::Tick`] is due, if one is.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing(turn) | Phase::Registering(turn) => turn.at(),
            Phase::Standing(Standing { beat_at, look, .. }) => {
                Some(look.at().map_or(beat_at, |at| at.min(beat_at)))
            }
            Phase::Leaving(leaving) => Some(leaving.wakes_at()),
            Phase::Replaced | Phase::Left => None,
        }
    }

    /// What `event` leads to. `draw` is in 0..1 and spreads what many programs would else do at once.
    pub(super) fn on(&mut self, event: Event, now: Instant, draw: f64) -> Vec<Effect> {
        match event {
            Event::Tick => self.tick(now),
            Event::Probed { answered } => self.probed(answered, now, draw),
            Event::Registered(outcome) => self.registered(outcome, now, draw),
            Event::Beaten { epoch, forgotten } => self.beaten(epoch, forgotten, now, draw),
            Event::Looked { epoch, found } => self.looked(epoch, found, now, draw),
            Event::Leave(order) => self.leave(order),
            Event::Swept => {}
            Event::Maintained => self.maintained(),
            Event::Deregistered { done } => self.deregistered(done, now, draw),
        }
        std::mem::take(&mut self.effects)
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Probing(turn) if turn.is_due(now) => {
                self.phase = Phase::Probing(Turn::Awaited);
                self.effects.push(Effect::Probe);
            }
            Phase::Registering(turn) if turn.is_due(now) => self.register(),
            Phase::Standing(standing) => self.tick_standing(standing, now),
            Phase::Leaving(leaving) => self.tick_leaving(leaving, now),
            Phase::Probing(_) | Phase::Registering(_) | Phase::Replaced | Phase::Left => {}
        }
    }

    fn probed(&mut self, answered: bool, now: Instant, draw: f64) {
        if !matches!(self.phase, Phase::Probing(_)) {
            return;
        }
        if answered {
            self.failures = 0;
            self.register();
        } else {
            self.phase = Phase::Probing(self.after_backoff(now, draw));
        }
    }

    fn register(&mut self) {
        self.phase = Phase::Registering(Turn::Awaited);
        self.effects.push(Effect::Register);
    }

    fn registered(&mut self, outcome: Outcome, now: Instant, draw: f64) {
        match (self.phase, outcome) {
            (Phase::Leaving(leaving), _) => self.registered_leaving(leaving, outcome),
            (Phase::Registering(_), Outcome::Failed) => {
                self.phase = Phase::Registering(self.after_backoff(now, draw));
            }
            (Phase::Registering(_), Outcome::Done | Outcome::Unknown) => {
                self.epoch += 1;
                // Both are due at once. A check that was never passed comes back critical when its agent restarts.
                let standing = Standing {
                    since: now,
                    sure: outcome == Outcome::Done,
                    in_catalog: false,
                    beat_at: now,
                    look: Turn::At(now),
                    looks: 0,
                };
                self.tick_standing(standing, now);
            }
            _ => {}
        }
    }

    fn tick_standing(&mut self, mut standing: Standing, now: Instant) {
        if now >= standing.beat_at {
            // Whoever slept through some beats owes one, not all of them.
            let missed = (now - standing.beat_at).as_millis() / BEAT_EVERY.as_millis();
            standing.beat_at += BEAT_EVERY * (missed as u32 + 1);
            self.effects.push(Effect::Beat { epoch: self.epoch });
        }
        if standing.look.is_due(now) {
            standing.look = Turn::Awaited;
            self.effects.push(Effect::Look { epoch: self.epoch, catalog: !standing.in_catalog });
        }
        self.phase = Phase::Standing(standing);
    }

    fn beaten(&mut self, epoch: u32, forgotten: bool, now: Instant, draw: f64) {
        if let Phase::Standing(standing) = self.phase
            && forgotten
            && epoch == self.epoch
        {
            self.lost(standing, now, draw);
        }
    }

    fn looked(&mut self, epoch: u32, found: Found, now: Instant, draw: f64) {
        if epoch != self.epoch {
            return;
        }
        match self.phase {
            Phase::Standing(standing) => self.looked_standing(standing, found, now, draw),
            Phase::Leaving(leaving) => self.looked_leaving(leaving, found, now, draw),
            Phase::Probing(_) | Phase::Registering(_) | Phase::Replaced | Phase::Left => {}
        }
    }

    fn looked_standing(&mut self, mut standing: Standing, found: Found, now: Instant, draw: f64) {
        match found {
            Found::AnotherRun if standing.sure => {
                self.phase = Phase::Replaced;
                return;
            }
            // Not sure: it may be the run before, which a registration that was never answered did not replace.
            Found::AnotherRun | Found::Nothing => return self.lost(standing, now, draw),
            Found::Ours { in_catalog } => {
                standing.sure = true;
                standing.in_catalog |= in_catalog;
            }
            Found::Unknown => {}
        }
        if standing.in_catalog && found != Found::Unknown {
            standing.looks = 0;
            standing.look = Turn::At(now + spread(LOOK_EVERY, draw));
            if !self.has_swept {
                self.has_swept = true;
                self.effects.push(Effect::Sweep);
            }
        } else {
            standing.looks = standing.looks.saturating_add(1);
            standing.look = Turn::At(now + backoff(standing.looks, BACKOFF_MAX, draw));
            if standing.looks == LOOKS_UNTIL_TOLD && found != Found::Unknown {
                self.tell(Tell::Unseen);
            }
        }
        self.phase = Phase::Standing(standing);
    }

    /// The agent doesn't have it: registers again, soon.
    fn lost(&mut self, standing: Standing, now: Instant, draw: f64) {
        if now - standing.since > STEADY_AFTER {
            self.failures = 0;
        }
        self.phase = Phase::Registering(self.after_backoff(now, draw));
    }

    /// Whether there may be something of ours at the agent, a registration in flight left aside.
    fn may_be_at_agent(&self) -> bool {
        match self.phase {
            Phase::Probing(_) | Phase::Replaced | Phase::Left => false,
            Phase::Registering(_) | Phase::Standing(_) | Phase::Leaving(_) => self.epoch > 0,
        }
    }

    fn tell(&mut self, tell: Tell) {
        self.effects.push(Effect::Tell(tell));
    }

    fn after_backoff(&mut self, now: Instant, draw: f64) -> Turn {
        self.failures = self.failures.saturating_add(1);
        Turn::At(now + backoff(self.failures, BACKOFF_MAX, draw))
    }
}

impl Turn {
    fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Awaited => None,
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self.at().is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests;
