//! The registrar: what to say to the agent, and when. A pure machine: (state, event, now, draw) -> effects; [`super::task`] carries them.
//!
//! ```text
//! Probing -> Registering -> Standing { at the agent -> in the catalog } -> Replaced
//!                 ^------------' forgotten                any of them -> Leaving -> Left
//! ```
//!
//! What it holds to, and the simulation in `machine/tests.rs` checks:
//! - never two registrations in flight, and none once it leaves;
//! - a beat every [`BEAT_EVERY`] while it stands, whatever hangs;
//! - silence means "don't know", never "forgotten": it leads to another look, not to another registration;
//! - another run under its id is left alone: it neither beats for it nor takes it away.

use std::time::Duration;

use tokio::time::Instant;

/// From one beat to the next. A third of [`TTL`], so that two may be lost.
pub(super) const BEAT_EVERY: Duration = Duration::from_secs(5);
/// The agent takes an instance for dead that it hasn't heard of for so long.
pub(super) const TTL: Duration = Duration::from_secs(15);
/// Beats without an outcome; each has a deadline well below [`BEAT_EVERY`], so more of them would be a mistake here.
const BEATS_IN_FLIGHT_MAX: u32 = 3;
/// From one look at the agent's own record to the next, once all is well: what a lost or replaced registration costs at most, where beats
/// don't tell.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A registration that stood for so long was no failure: the next pause is a first one again.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// Looks that did not find the instance in the catalog before a person is told: some 5 s.
const LOOKS_UNTIL_TOLD: u32 = 7;

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing answers at its own address yet.
    Probing,
    /// The agent doesn't have it, or nobody knows; being registered, over and over.
    Registering,
    /// The agent has it; the catalog, from which others read, does not show it yet.
    Registered,
    /// Everybody can find it.
    Ready,
    /// Another run registered under its id. It is no longer found, and does nothing more about it.
    Replaced,
    /// On its way out.
    Leaving,
    /// Over.
    Left,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A deadline of [`Machine::wakes_at`] came, or none did.
    Tick,
    /// Something answered at the instance's own address, or nothing.
    Probed {
        answered: bool,
    },
    Registered(Registered),
    /// A beat of this epoch ended; all that counts is whether the agent no longer knows its check.
    Beaten {
        epoch: u32,
        forgotten: bool,
    },
    Looked {
        epoch: u32,
        found: Found,
    },
    /// The program wants to end. What is still ours may be put into maintenance first, until it is deregistered at `deregister_at`; at
    /// `give_up_at` all ends.
    Leave {
        deregister_at: Instant,
        give_up_at: Instant,
    },
    Maintained,
    Deregistered {
        done: bool,
    },
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registered {
    Done,
    /// Surely not.
    Failed,
    /// No answer in time, or one that leaves it open.
    Unknown,
}

/// What the agent's own record of the id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    AnotherRun,
    Ours { in_catalog: bool },
    Unknown,
}

/// What is to be done. Each but `Tell` is answered by exactly one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Probe,
    Register,
    Beat {
        epoch: u32,
    },
    /// At the agent, and in the catalog unless it was seen there.
    Look {
        epoch: u32,
        catalog: bool,
    },
    Maintain,
    Deregister,
    Tell(Tell),
}

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// At the agent for a while, and still not in the catalog.
    Unseen,
    /// Left without knowing that it is deregistered.
    GaveUp,
}

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    /// Counts registrations that the agent has, or may have: what comes back from before the last one says nothing about it.
    epoch: u32,
    /// Failures since the last steady time.
    failures: u32,
    beats_in_flight: u32,
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

/// One thing at a time: it is due, or its outcome is awaited.
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
    /// Looks that brought nothing new.
    looks: u32,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    step: Step,
    deregister_at: Instant,
    give_up_at: Instant,
}

/// A registration in flight is awaited first; then maintenance, then deregistration, each after a look whether it is still ours.
#[derive(Debug, Clone, Copy)]
enum Step {
    Registration,
    Look(Turn),
    Maintenance,
    Deregistration,
}

impl Machine {
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Phase::Probing(Turn::At(now)), epoch: 0, failures: 0, beats_in_flight: 0 }
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
            Phase::Standing(standing) => {
                Some(standing.look.at().map_or(standing.beat_at, |at| at.min(standing.beat_at)))
            }
            Phase::Leaving(Leaving { step: Step::Look(Turn::At(at)), give_up_at, .. }) => {
                Some(at.min(give_up_at))
            }
            Phase::Leaving(leaving) => Some(leaving.give_up_at),
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
            Event::Leave { deregister_at, give_up_at } => {
                self.leave(deregister_at, give_up_at, now)
            }
            Event::Maintained => self.maintained(),
            Event::Deregistered { done } => self.deregistered(done, now, draw),
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Effect> {
        match &mut self.phase {
            Phase::Probing(turn) => turn.take(now).then_some(Effect::Probe).into_iter().collect(),
            Phase::Registering(turn) => {
                turn.take(now).then_some(Effect::Register).into_iter().collect()
            }
            Phase::Standing(standing) => {
                let mut effects = Vec::new();
                if now >= standing.beat_at {
                    // A machine that slept through some beats owes one, not all of them.
                    let missed = (now - standing.beat_at).div_duration_f64(BEAT_EVERY) as u32;
                    standing.beat_at += BEAT_EVERY * (missed + 1);
                    effects.extend(self.beat());
                }
                effects.extend(self.look(now));
                effects
            }
            Phase::Leaving(leaving) if now >= leaving.give_up_at => {
                self.phase = Phase::Left;
                vec![Effect::Tell(Tell::GaveUp)]
            }
            Phase::Leaving(Leaving { step: Step::Look(turn), .. }) => {
                let look = Effect::Look { epoch: self.epoch, catalog: false };
                turn.take(now).then_some(look).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn beat(&mut self) -> Option<Effect> {
        let room = self.beats_in_flight < BEATS_IN_FLIGHT_MAX;
        self.beats_in_flight += u32::from(room);
        room.then_some(Effect::Beat { epoch: self.epoch })
    }

    fn look(&mut self, now: Instant) -> Option<Effect> {
        let Phase::Standing(standing) = &mut self.phase else { return None };
        let catalog = !standing.in_catalog;
        standing.look.take(now).then_some(Effect::Look { epoch: self.epoch, catalog })
    }

    fn probed(&mut self, answered: bool, now: Instant, draw: f64) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Probing(Turn::Awaited)) {
            return Vec::new();
        }
        if answered {
            self.failures = 0;
            self.phase = Phase::Registering(Turn::Awaited);
            return vec![Effect::Register];
        }
        self.phase = Phase::Probing(self.after_pause(now, draw));
        Vec::new()
    }

    fn registered(&mut self, outcome: Registered, now: Instant, draw: f64) -> Vec<Effect> {
        self.epoch += u32::from(outcome != Registered::Failed);
        match (self.phase, outcome) {
            (Phase::Leaving(_), _) if self.epoch == 0 => {
                self.phase = Phase::Left;
                Vec::new()
            }
            (Phase::Leaving(leaving), _) => {
                let step = Step::Look(Turn::Awaited);
                self.phase = Phase::Leaving(Leaving { step, ..leaving });
                vec![Effect::Look { epoch: self.epoch, catalog: false }]
            }
            (Phase::Registering(_), Registered::Failed) => {
                self.phase = Phase::Registering(self.after_pause(now, draw));
                Vec::new()
            }
            (Phase::Registering(_), Registered::Done | Registered::Unknown) => {
                self.phase = Phase::Standing(Standing {
                    since: now,
                    sure: outcome == Registered::Done,
                    in_catalog: false,
                    beat_at: now + BEAT_EVERY,
                    look: Turn::At(now),
                    looks: 0,
                });
                // A check that was never passed comes back critical when its agent restarts, so the first beat doesn't wait.
                self.beat().into_iter().chain(self.look(now)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn beaten(&mut self, epoch: u32, forgotten: bool, now: Instant, draw: f64) -> Vec<Effect> {
        self.beats_in_flight = self.beats_in_flight.saturating_sub(1);
        if let Phase::Standing(standing) = self.phase
            && forgotten
            && epoch == self.epoch
        {
            self.register_again(standing, now, draw);
        }
        Vec::new()
    }

    fn looked(&mut self, epoch: u32, found: Found, now: Instant, draw: f64) -> Vec<Effect> {
        if epoch != self.epoch {
            return Vec::new();
        }
        match self.phase {
            Phase::Standing(standing) => self.looked_standing(standing, found, now, draw),
            Phase::Leaving(leaving) => self.looked_leaving(leaving, found, now, draw),
            _ => Vec::new(),
        }
    }

    fn looked_standing(
        &mut self,
        standing: Standing,
        found: Found,
        now: Instant,
        draw: f64,
    ) -> Vec<Effect> {
        let mut next = standing;
        match found {
            Found::AnotherRun if standing.sure => {
                self.phase = Phase::Replaced;
                return Vec::new();
            }
            // It may be the run before, which a registration that was never answered has not replaced.
            Found::AnotherRun | Found::Nothing => {
                self.register_again(standing, now, draw);
                return Vec::new();
            }
            Found::Ours { in_catalog } => {
                next.sure = true;
                next.in_catalog |= in_catalog;
            }
            Found::Unknown => {}
        }
        let settled = next.in_catalog && found != Found::Unknown;
        next.looks = if settled { 0 } else { standing.looks + 1 };
        let pause_ms = if settled { spread(LOOK_EVERY, draw) } else { pause(standing.looks, draw) };
        next.look = Turn::At(now + pause_ms);
        self.phase = Phase::Standing(next);
        let unseen = matches!(found, Found::Ours { .. }) && next.looks == LOOKS_UNTIL_TOLD;
        unseen.then_some(Effect::Tell(Tell::Unseen)).into_iter().collect()
    }

    fn register_again(&mut self, standing: Standing, now: Instant, draw: f64) {
        if now - standing.since > STEADY_AFTER {
            self.failures = 0;
        }
        self.phase = Phase::Registering(self.after_pause(now, draw));
    }

    fn leave(&mut self, deregister_at: Instant, give_up_at: Instant, now: Instant) -> Vec<Effect> {
        let (step, effect) = match self.phase {
            Phase::Probing(_) | Phase::Replaced | Phase::Left => {
                self.phase = Phase::Left;
                return Vec::new();
            }
            Phase::Registering(Turn::At(_)) if self.epoch == 0 => {
                self.phase = Phase::Left;
                return Vec::new();
            }
            Phase::Leaving(_) => return Vec::new(),
            Phase::Registering(Turn::Awaited) => (Step::Registration, None),
            Phase::Registering(Turn::At(_)) | Phase::Standing(_) => {
                // A look that is under way began before; the next one counts.
                self.epoch += 1;
                let look = Effect::Look { epoch: self.epoch, catalog: false };
                (Step::Look(Turn::Awaited), Some(look))
            }
        };
        self.failures = 0;
        let give_up_at = give_up_at.max(now);
        self.phase = Phase::Leaving(Leaving { step, deregister_at, give_up_at });
        effect.into_iter().collect()
    }

    fn looked_leaving(
        &mut self,
        leaving: Leaving,
        found: Found,
        now: Instant,
        draw: f64,
    ) -> Vec<Effect> {
        if !matches!(leaving.step, Step::Look(Turn::Awaited)) {
            return Vec::new();
        }
        let (step, effect) = match found {
            Found::Nothing | Found::AnotherRun => {
                self.phase = Phase::Left;
                return Vec::new();
            }
            Found::Unknown => (Step::Look(self.after_pause(now, draw)), None),
            Found::Ours { .. } if now < leaving.deregister_at => {
                (Step::Maintenance, Some(Effect::Maintain))
            }
            Found::Ours { .. } => (Step::Deregistration, Some(Effect::Deregister)),
        };
        self.phase = Phase::Leaving(Leaving { step, ..leaving });
        effect.into_iter().collect()
    }

    /// Whether it worked or not: maintenance is a courtesy to callers, deregistration is what counts.
    fn maintained(&mut self) -> Vec<Effect> {
        if let Phase::Leaving(Leaving { step, deregister_at, .. }) = &mut self.phase {
            *step = Step::Look(Turn::At(*deregister_at));
        }
        Vec::new()
    }

    fn deregistered(&mut self, done: bool, now: Instant, draw: f64) -> Vec<Effect> {
        if let Phase::Leaving(leaving) = self.phase {
            self.phase = if done {
                Phase::Left
            } else {
                let step = Step::Look(self.after_pause(now, draw));
                Phase::Leaving(Leaving { step, ..leaving })
            };
        }
        Vec::new()
    }

    fn after_pause(&mut self, now: Instant, draw: f64) -> Turn {
        let pause = pause(self.failures, draw);
        self.failures = self.failures.saturating_add(1);
        Turn::At(now + pause)
    }
}

impl Turn {
    fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Awaited => None,
        }
    }

    /// Takes the turn if it is due.
    fn take(&mut self, now: Instant) -> bool {
        let due = self.at().is_some_and(|at| now >= at);
        if due {
            *self = Self::Awaited;
        }
        due
    }
}

/// The pause after so many failures before this one: doubled each time, spread over its upper half.
fn pause(failures: u32, draw: f64) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << failures.min(20));
    spread(doubled.min(PAUSE_MAX), draw)
}

/// Something between half of it and all of it.
fn spread(duration: Duration, draw: f64) -> Duration {
    duration.mul_f64(0.5 + draw / 2.0)
}

#[cfg(test)]
mod tests;
