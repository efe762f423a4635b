//! The registrar: what to say to the agent, and when. A pure machine: (state, event, now, draw) -> effects; [`super::task`] carries them.
//!
//! ```text
//! Probing -> Registering -> Active (at the agent, then in the catalog) -> Replaced
//!    ^- failed or refused -'   |
//!    '- lost, or moved --------'                         any of them -> Leaving -> Left
//! ```
//!
//! What it holds to, and the simulation in `machine/tests.rs` checks:
//! - never two registrations in flight, and none once it leaves;
//! - a beat every [`HEARTBEAT_EVERY`] while it stands, whatever hangs;
//! - silence means "don't know", never "forgotten": it leads to another look, not to another registration;
//! - an instance that the catalog no longer has is registered again, although its agent has it: Consul's own repair takes a minute or two;
//! - each registration follows a probe of the address that it publishes;
//! - another run under its id is left alone: no beats for it, and no deregistration.

mod active;
mod deregistration;
mod event;

use std::time::Duration;

use tokio::time::Instant;

pub use event::RegistrationState;
pub(super) use event::{
    Catalog, Effect, Event, Found, Heartbeat, Leave, Notice, Place, Probed, RegisterOutcome,
};

use crate::{
    agent::LOCAL_WITHIN,
    backoff::{backoff, spread},
};
use active::Active;
use deregistration::Deregistration;

/// From one beat to the next. A third of [`TTL`], so that two may be lost.
pub(super) const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// The agent takes an instance for dead that it hasn't heard of for so long.
pub(super) const TTL: Duration = Duration::from_secs(15);
/// What holds the number of beats in flight at one, and two around a new registration.
const _: () = assert!(LOCAL_WITHIN.as_nanos() < HEARTBEAT_EVERY.as_nanos());
/// The longest pause after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The longest pause after a refusal: only a person mends it.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    /// What the last registration published, or the one in flight.
    place: Option<Place>,
    /// Whether the last attempt, or the last beat, was refused.
    refused: bool,
    /// Counts registrations that the agent has, or may have: what comes back from before the last one says nothing about it.
    epoch: u32,
    /// The interval of the heartbeats; none if the check of the instance has none. Then looks alone find a loss.
    heartbeat_every: Option<Duration>,
    /// Failures since the last steady time.
    failures: u32,
    /// Whether the catalog once had it: what reads the catalog may see it there.
    was_in_catalog: bool,
    /// Whether the dead were cleared away, which is done once a run.
    has_swept: bool,
    /// What the event at hand led to so far.
    effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Probing(Turn),
    /// A registration is in flight.
    Registering,
    Active(Active),
    Replaced,
    Leaving(Deregistration),
    Left,
}

/// One thing at a time: it is due at some moment, or its outcome is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    At(Instant),
    Awaited,
}

impl Machine {
    pub(super) fn new(now: Instant, heartbeat_every: Option<Duration>) -> Self {
        let phase = Phase::Probing(Turn::At(now));
        Self {
            phase,
            place: None,
            refused: false,
            epoch: 0,
            heartbeat_every,
            failures: 0,
            was_in_catalog: false,
            has_swept: false,
            effects: Vec::new(),
        }
    }

    pub(super) fn state(&self) -> RegistrationState {
        match self.phase {
            Phase::Probing(_) | Phase::Registering | Phase::Active(_) if self.refused => {
                RegistrationState::Refused
            }
            Phase::Probing(_) if self.place.is_none() => RegistrationState::Probing,
            Phase::Probing(_) | Phase::Registering => RegistrationState::Registering,
            Phase::Active(Active { sure: false, .. }) => RegistrationState::Registering,
            Phase::Active(Active { in_catalog: false, .. }) => RegistrationState::Registered,
            Phase::Active(_) => RegistrationState::Ready,
            Phase::Replaced => RegistrationState::Replaced,
            Phase::Leaving(_) => RegistrationState::Leaving,
            Phase::Left => RegistrationState::Left,
        }
    }

    /// What is published, or about to be.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// When the next [`Event::Tick`] is due, if one is.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing(turn) => turn.at(),
            Phase::Active(active) => active.wakes_at(),
            Phase::Leaving(leaving) => Some(leaving.wakes_at()),
            Phase::Registering | Phase::Replaced | Phase::Left => None,
        }
    }

    /// What `event` leads to. `draw` is in 0..1 and spreads what many programs would else do at once.
    pub(super) fn on(&mut self, event: Event, now: Instant, draw: f64) -> Vec<Effect> {
        match event {
            Event::Tick => self.tick(now),
            Event::Probed(probed) => self.probed(probed, now, draw),
            Event::Registered(outcome) => self.registered(outcome, now, draw),
            Event::HeartbeatEnded { epoch, heartbeat } => {
                self.heartbeat_ended(epoch, heartbeat, now, draw)
            }
            Event::Looked { epoch, found, place } => self.looked(epoch, found, place, now, draw),
            Event::Leave(order) => self.leave(order),
            Event::Swept => {}
            Event::Maintained => self.maintained(),
            Event::Deregistered { done } => self.deregistered(done, now, draw),
        }
        std::mem::take(&mut self.effects)
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Probing(turn) if turn.is_due(now) => self.probe(),
            Phase::Active(active) => self.tick_active(active, now),
            Phase::Leaving(leaving) => self.tick_leaving(leaving, now),
            Phase::Probing(_) | Phase::Registering | Phase::Replaced | Phase::Left => {}
        }
    }

    fn probe(&mut self) {
        self.phase = Phase::Probing(Turn::Awaited);
        self.effects.push(Effect::Probe);
    }

    fn probed(&mut self, probed: Probed, now: Instant, draw: f64) {
        if !matches!(self.phase, Phase::Probing(_)) {
            return;
        }
        match probed {
            Probed::Answered(place) => {
                if self.place.is_none() {
                    // Failures until it listened say nothing about the agent.
                    self.failures = 0;
                }
                self.place = Some(place);
                self.phase = Phase::Registering;
                self.effects.push(Effect::Register { place });
            }
            Probed::Silent => {
                self.refused = false;
                self.phase = Phase::Probing(self.after_backoff(now, draw));
            }
            Probed::Refused => self.refused(now, draw),
        }
    }

    fn refused(&mut self, now: Instant, draw: f64) {
        self.refused = true;
        self.phase = Phase::Probing(Turn::At(now + spread(REFUSED_PAUSE, draw)));
    }

    fn registered(&mut self, outcome: RegisterOutcome, now: Instant, draw: f64) {
        match (self.phase, outcome) {
            (Phase::Leaving(leaving), _) => self.registered_leaving(leaving, outcome),
            (Phase::Registering, RegisterOutcome::Failed) => {
                self.refused = false;
                self.phase = Phase::Probing(self.after_backoff(now, draw));
            }
            (Phase::Registering, RegisterOutcome::Refused) => self.refused(now, draw),
            (Phase::Registering, RegisterOutcome::Done | RegisterOutcome::Unknown) => {
                self.refused = false;
                self.epoch += 1;
                let heartbeat_at = self.heartbeat_every.map(|_| now);
                self.tick_active(Active::new(outcome, heartbeat_at, now), now);
            }
            _ => {}
        }
    }

    fn looked(&mut self, epoch: u32, found: Found, place: Option<Place>, now: Instant, draw: f64) {
        if epoch != self.epoch {
            return;
        }
        match self.phase {
            Phase::Active(active) => {
                self.looked_active(active, found, now, draw);
                self.follow(place);
            }
            Phase::Leaving(leaving) => self.looked_leaving(leaving, found, now, draw),
            Phase::Probing(_) | Phase::Registering | Phase::Replaced | Phase::Left => {}
        }
    }

    /// Whether there may be something of ours at the agent, a registration in flight left aside.
    fn may_be_at_agent(&self) -> bool {
        !matches!(self.phase, Phase::Replaced | Phase::Left) && self.epoch > 0
    }

    fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notice(notice));
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

    /// Sooner, if it is not awaited already.
    fn at_most(self, latest: Instant) -> Self {
        match self {
            Self::At(at) => Self::At(at.min(latest)),
            Self::Awaited => Self::Awaited,
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self.at().is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests;
