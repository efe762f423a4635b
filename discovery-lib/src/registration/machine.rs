//! The registrar: which request to send to the agent, and when. A pure state machine: (state, event, now, draw) -> effects, which
//! [`super::task`] executes.
//!
//! ```text
//! Probing -> Registering -> Active (at the agent, then in the catalog) -> Replaced
//!    ^- failed or refused -'   |
//!    '- lost, or moved --------'                         any of them -> Leaving -> Left
//! ```
//!
//! Invariants, checked by the simulation in `machine/tests.rs`:
//! - at most one registration is in flight, and none is sent after the shutdown began;
//! - while it is registered with a TTL check, a heartbeat is sent every [`HEARTBEAT_EVERY`], even if other calls hang; no other check has heartbeats;
//! - a call without an answer leads to another look, not to another registration;
//! - an instance that is no longer in the catalog is registered again although its agent has it: Consul's own repair takes one to two minutes;
//! - each registration publishes an address that was probed;
//! - changed details are registered within [`UPDATE_GAP`] while the agent answers, and neither that nor its failure delays a heartbeat;
//! - a status that the program reports is sent within [`REPORT_GAP`], and with each heartbeat; while it is critical, nothing is registered;
//! - another run with the same id is not touched: no heartbeats for it, and no deregistration.

mod active;
mod deregistration;
mod event;

use std::time::Duration;

use consul_wire::check::CheckStatus;
use tokio::time::Instant;

pub use event::RegistrationState;
pub(crate) use event::{
    Catalog, Effect, Event, Found, Heartbeat, Leave, Notice, Place, Probed, RegisterOutcome,
};

use crate::{
    agent::LOCAL_WITHIN,
    backoff::{backoff, spread},
};
use active::Active;
use deregistration::Deregistration;

/// The interval of heartbeats. A third of [`TTL`], so that two may be lost.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// The TTL of the check: without a heartbeat for this time it is critical.
pub(crate) const TTL: Duration = Duration::from_secs(15);
/// The shortest time from one heartbeat to the next, when the reported status changes: a change may be sent this late.
pub(super) const REPORT_GAP: Duration = Duration::from_secs(1);
/// The shortest time from one registration to the next because of changed details.
pub(super) const UPDATE_GAP: Duration = Duration::from_secs(1);
/// The statuses arrive in the order in which they were reported: a heartbeat has ended before the next is sent.
const _: () = assert!(LOCAL_WITHIN.as_nanos() <= REPORT_GAP.as_nanos());
/// Limits the heartbeats in flight to one, and to two around a new registration.
const _: () = assert!(LOCAL_WITHIN.as_nanos() < HEARTBEAT_EVERY.as_nanos());
/// The maximum backoff after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The maximum pause after a refusal: an operator must change the settings or the token.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
    /// The place that the last registration published, or the one in flight publishes.
    place: Option<Place>,
    /// Whether the last attempt, or the last heartbeat, was refused.
    refused: bool,
    /// Counts registrations that the agent has, or may have. Results of calls from an earlier epoch are ignored.
    epoch: u32,
    /// The interval of the heartbeats; none if the check of the instance has none. Then looks alone find a loss.
    heartbeat_every: Option<Duration>,
    /// The status that the program reported last.
    status: CheckStatus,
    /// Whether the details changed while a registration was in flight, which may have the old ones.
    is_outdated: bool,
    /// Failures in a row.
    failures: u32,
    /// Whether it was found in the catalog once, so that the token can read it there.
    was_in_catalog: bool,
    /// Whether dead instances were deregistered: done once per run.
    has_swept: bool,
    /// The effects of the current event so far.
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

/// A call that is due at some time, or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    At(Instant),
    Awaited,
}

impl Machine {
    pub(crate) fn new(now: Instant, heartbeat_every: Option<Duration>) -> Self {
        let phase = Phase::Probing(Turn::At(now));
        Self {
            phase,
            place: None,
            refused: false,
            epoch: 0,
            heartbeat_every,
            status: CheckStatus::Passing,
            is_outdated: false,
            failures: 0,
            was_in_catalog: false,
            has_swept: false,
            effects: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> RegistrationState {
        match self.phase {
            Phase::Probing(_) | Phase::Registering | Phase::Active(_) if self.refused => {
                RegistrationState::Refused
            }
            Phase::Active(Active { update_refused: true, .. }) => RegistrationState::Refused,
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

    /// The published place, or the one about to be published.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// When the next [`Event::Tick`] is due, if one is.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing(turn) => turn.at().filter(|_| self.may_register()),
            Phase::Active(active) => active.wakes_at(self.may_register()),
            Phase::Leaving(leaving) => Some(leaving.wakes_at()),
            Phase::Registering | Phase::Replaced | Phase::Left => None,
        }
    }

    /// The effects of `event`. `draw` is a random number in 0..1; it spreads the requests of many programs over time.
    pub(crate) fn on(&mut self, event: Event, now: Instant, draw: f64) -> Vec<Effect> {
        match event {
            Event::Tick => self.tick(now),
            Event::Probed(probed) => self.probed(probed, now, draw),
            Event::Registered(outcome) => self.registered(outcome, now, draw),
            Event::HeartbeatEnded { epoch, heartbeat } => {
                self.heartbeat_ended(epoch, heartbeat, now, draw)
            }
            Event::Looked { epoch, found, place } => self.looked(epoch, found, place, now, draw),
            Event::Reported(status) => self.reported(status, now),
            Event::Updated => self.updated(now),
            Event::Leave(order) => self.leave(order),
            Event::Swept => {}
            Event::Maintained => self.maintained(),
            Event::Deregistered { done } => self.deregistered(done, now, draw),
        }
        std::mem::take(&mut self.effects)
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Probing(turn) if turn.is_due(now) && self.may_register() => self.probe(),
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
            // Critical since the probe began.
            Probed::Answered(_) if !self.may_register() => {
                self.phase = Phase::Probing(Turn::At(now));
            }
            Probed::Answered(place) => {
                if self.place.is_none() {
                    // Failures before it listened were not failures of the agent.
                    self.failures = 0;
                }
                self.place = Some(place);
                self.register(place);
            }
            Probed::Silent => {
                self.refused = false;
                self.phase = Phase::Probing(self.after_backoff(now, draw));
            }
            Probed::Refused => self.refused(now, draw),
        }
    }

    fn register(&mut self, place: Place) {
        self.phase = Phase::Registering;
        self.is_outdated = false;
        self.effects.push(Effect::Register { place });
    }

    /// Before a registration there is nothing to do: it takes the details of its time.
    fn updated(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Active(active) if !active.is_updating() => active.update_at(now),
            Phase::Active(_) | Phase::Registering => self.is_outdated = true,
            Phase::Probing(_) | Phase::Replaced | Phase::Leaving(_) | Phase::Left => {}
        }
    }

    fn reported(&mut self, status: CheckStatus, now: Instant) {
        let changed = status != self.status;
        self.status = status;
        if let Phase::Active(active) = &mut self.phase
            && changed
        {
            active.hasten_heartbeat(now);
        }
    }

    /// A critical instance is not registered: no caller would use it, and the agent would deregister it after a minute. Without heartbeats, the
    /// agent finds the status itself.
    fn may_register(&self) -> bool {
        self.status != CheckStatus::Critical || self.heartbeat_every.is_none()
    }

    fn refused(&mut self, now: Instant, draw: f64) {
        self.refused = true;
        self.phase = Phase::Probing(Turn::At(now + spread(REFUSED_PAUSE, draw)));
    }

    fn registered(&mut self, outcome: RegisterOutcome, now: Instant, draw: f64) {
        match (self.phase, outcome) {
            (Phase::Leaving(leaving), _) => self.registered_leaving(leaving, outcome),
            (Phase::Active(active), _) => self.updated_active(active, outcome, now, draw),
            (Phase::Registering, RegisterOutcome::Failed) => {
                self.refused = false;
                self.phase = Phase::Probing(self.after_backoff(now, draw));
            }
            (Phase::Registering, RegisterOutcome::Refused) => self.refused(now, draw),
            (Phase::Registering, RegisterOutcome::Done | RegisterOutcome::Unknown) => {
                self.refused = false;
                self.epoch += 1;
                let heartbeat_at = self.heartbeat_every.map(|_| now);
                let mut active = Active::new(outcome, heartbeat_at, now);
                if self.is_outdated {
                    active.update_at(now);
                }
                self.tick_active(active, now);
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

    /// Whether the agent may have a registration of this run, apart from one in flight.
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

    /// At this time at the latest, unless it is in flight.
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
pub(crate) mod tests;
