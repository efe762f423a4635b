//! The phase in which the agent has the registration, as far as is known: heartbeats, looks, and their effects.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    BACKOFF_MAX, Machine, Phase, REFUSED_PAUSE, REPORT_GAP, Turn, UPDATE_GAP,
    event::{Catalog, Effect, Found, Heartbeat, Notice, Place, RegisterOutcome},
};
use crate::backoff::{backoff, spread};

/// The interval of looks at the agent's record in the steady state: also the longest time for which heartbeats are sent for another run with
/// this id.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The interval of reads of the catalog in the steady state. Each is a request to Consul's servers.
pub(super) const CATALOG_EVERY: Duration = Duration::from_secs(20);
/// Consecutive reads of the catalog without an instance that was in it before, until it is registered again. Consul's servers remove a node that
/// they can't reach, or lose their data, and its agent does not notice.
const LACKS_UNTIL_LOST: u32 = 3;
/// For an instance that has not been in the catalog since its last registration, but was before: the shortest time from the first of these reads
/// to the last. Its agent may not have synchronized yet.
const LACKS_UNTIL_LOST_AGAIN: Duration = Duration::from_secs(20);
/// After a registration was active for this time, the backoff starts again with short pauses.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// Looks that did not find the instance in the catalog before a warning: about 5 s.
const LOOKS_UNTIL_WARNING: u32 = 7;

#[derive(Debug, Clone, Copy)]
pub(super) struct Active {
    since: Instant,
    /// Whether the agent confirmed it, by any answer; otherwise it may still execute the request.
    pub(super) sure: bool,
    pub(super) in_catalog: bool,
    /// The time of the next read of the catalog.
    catalog_at: Instant,
    /// Consecutive reads of the catalog without it.
    lacks: u32,
    /// The time of the first of them.
    lacks_since: Instant,
    /// None for a check without heartbeats.
    heartbeat_at: Option<Instant>,
    /// The time of the last heartbeat.
    heartbeat_sent_at: Option<Instant>,
    look: Turn,
    /// Consecutive looks after which it is not settled.
    looks: u32,
    /// The next registration because of changed details, if they changed.
    update: Option<Turn>,
    /// The end of the last registration.
    registered_at: Instant,
    /// Whether the last one of these registrations was refused.
    pub(super) update_refused: bool,
}

impl Active {
    /// The heartbeat and the look are due at once. A check that was never set to passing is critical after its agent restarts.
    pub(super) fn new(
        outcome: RegisterOutcome,
        heartbeat_at: Option<Instant>,
        now: Instant,
    ) -> Self {
        Self {
            since: now,
            sure: outcome == RegisterOutcome::Done,
            in_catalog: false,
            catalog_at: now,
            lacks: 0,
            lacks_since: now,
            heartbeat_at,
            heartbeat_sent_at: None,
            look: Turn::At(now),
            looks: 0,
            update: None,
            registered_at: now,
            update_refused: false,
        }
    }

    pub(super) fn wakes_at(&self, may_register: bool) -> Option<Instant> {
        let update_at = self.update.and_then(Turn::at).filter(|_| may_register);
        self.look.at().into_iter().chain(self.heartbeat_at).chain(update_at).min()
    }

    /// Registers now, or [`UPDATE_GAP`] after the last registration.
    pub(super) fn update_at(&mut self, now: Instant) {
        self.update = Some(Turn::At(now.max(self.registered_at + UPDATE_GAP)));
    }

    /// Whether a registration is in flight.
    pub(super) fn is_updating(&self) -> bool {
        self.update == Some(Turn::Awaited)
    }

    /// Sends the next heartbeat now, or [`REPORT_GAP`] after the last one.
    pub(super) fn hasten_heartbeat(&mut self, now: Instant) {
        let soonest = self.heartbeat_sent_at.map_or(now, |sent_at| now.max(sent_at + REPORT_GAP));
        self.heartbeat_at = self.heartbeat_at.map(|at| at.min(soonest));
    }

    fn read(&mut self, catalog: Catalog, now: Instant, draw: f64) {
        match catalog {
            Catalog::Has => {
                self.in_catalog = true;
                self.lacks = 0;
                self.catalog_at = now + spread(CATALOG_EVERY, draw);
            }
            Catalog::Lacks => {
                if self.lacks == 0 {
                    self.lacks_since = now;
                }
                self.lacks = self.lacks.saturating_add(1);
            }
            Catalog::Unknown => {}
        }
    }

    /// Whether the catalog lost it, if it was in the catalog before.
    fn is_lost(&self, now: Instant) -> bool {
        let is_long = now - self.lacks_since >= LACKS_UNTIL_LOST_AGAIN;
        self.lacks >= LACKS_UNTIL_LOST && (self.in_catalog || is_long)
    }

    /// Whether it is in the catalog, as far as is known.
    fn is_settled(&self) -> bool {
        self.in_catalog && self.lacks == 0
    }
}

impl Machine {
    pub(super) fn tick_active(&mut self, mut active: Active, now: Instant) {
        if let (Some(every), Some(at)) = (self.heartbeat_every, &mut active.heartbeat_at)
            && now >= *at
        {
            // After a pause that missed several heartbeats, one is sent.
            let missed = (now - *at).as_millis() / every.as_millis();
            *at += every * (missed as u32 + 1);
            active.heartbeat_sent_at = Some(now);
            self.effects.push(Effect::Heartbeat { epoch: self.epoch, status: self.status });
        }
        if active.look.is_due(now) {
            active.look = Turn::Awaited;
            let catalog = now >= active.catalog_at;
            self.effects.push(Effect::Look { epoch: self.epoch, catalog });
        }
        if let (Some(update), Some(place)) = (active.update, self.place)
            && update.is_due(now)
            && self.may_register()
        {
            active.update = Some(Turn::Awaited);
            // Looks until its end may find the old details or the new ones: their results are ignored, and one follows.
            self.epoch += 1;
            active.look = Turn::Awaited;
            self.is_outdated = false;
            self.effects.push(Effect::Register { place });
        }
        self.phase = Phase::Active(active);
    }

    /// A registration because of changed details ended.
    pub(super) fn updated_active(
        &mut self,
        mut active: Active,
        outcome: RegisterOutcome,
        now: Instant,
        draw: f64,
    ) {
        // A heartbeat in flight may not have found what is there now.
        self.epoch += 1;
        active.update_refused = outcome == RegisterOutcome::Refused;
        active.registered_at = now;
        // The agent publishes it again.
        active.lacks = 0;
        active.look = Turn::At(now);
        active.update = match outcome {
            RegisterOutcome::Done | RegisterOutcome::Unknown => None,
            RegisterOutcome::Failed => Some(self.after_backoff(now, draw)),
            RegisterOutcome::Refused => Some(Turn::At(now + spread(REFUSED_PAUSE, draw))),
        };
        if self.is_outdated {
            active.update_at(now);
        }
        // If the agent had lost the check, this one starts as passing.
        active.hasten_heartbeat(now);
        self.phase = Phase::Active(active);
    }

    pub(super) fn heartbeat_ended(
        &mut self,
        epoch: u32,
        heartbeat: Heartbeat,
        now: Instant,
        draw: f64,
    ) {
        let Phase::Active(active) = &mut self.phase else { return };
        if epoch != self.epoch {
            return;
        }
        match heartbeat {
            Heartbeat::Passed => self.refused = false,
            Heartbeat::Refused => self.refused = true,
            // The registration in flight restores it.
            Heartbeat::NotRegistered if active.is_updating() => {}
            Heartbeat::NotRegistered => self.lost(now, draw),
            // The connection may be broken because the address of this machine changed: a look finds that.
            Heartbeat::Unknown if active.looks == 0 => active.look = active.look.at_most(now),
            Heartbeat::Unknown => {}
        }
    }

    pub(super) fn looked_active(
        &mut self,
        mut active: Active,
        found: Found,
        now: Instant,
        draw: f64,
    ) {
        match found {
            Found::AnotherRun if active.sure => {
                self.phase = Phase::Replaced;
                return;
            }
            // Not confirmed: it may be the previous run, if the registration without an answer was not executed.
            Found::AnotherRun | Found::Nothing | Found::Edited | Found::Outdated => {
                return self.lost(now, draw);
            }
            Found::Ours { catalog } => {
                active.sure = true;
                active.read(catalog, now, draw);
                self.was_in_catalog |= active.in_catalog;
                if catalog == Catalog::Lacks && self.was_in_catalog && active.is_lost(now) {
                    return self.lost(now, draw);
                }
            }
            Found::Unknown => {}
        }
        if active.is_settled() && found != Found::Unknown {
            active.looks = 0;
            active.look = Turn::At(now + spread(LOOK_EVERY, draw));
            if !self.has_swept {
                self.has_swept = true;
                self.effects.push(Effect::Sweep);
            }
        } else {
            active.looks = active.looks.saturating_add(1);
            active.look = Turn::At(now + backoff(active.looks, BACKOFF_MAX, draw));
            if active.looks == LOOKS_UNTIL_WARNING && found != Found::Unknown {
                self.notify(Notice::Unseen);
            }
        }
        self.phase = Phase::Active(active);
    }

    /// Registers an instance again whose address is not the published one, whatever the look found.
    pub(super) fn follow(&mut self, place: Option<Place>) {
        if matches!(self.phase, Phase::Active(_)) && place.is_some() && place != self.place {
            self.notify(Notice::Moved);
            self.probe();
        }
    }

    /// The agent or the catalog doesn't have it: registers again after a backoff.
    fn lost(&mut self, now: Instant, draw: f64) {
        if let Phase::Active(active) = self.phase {
            if now - active.since > STEADY_AFTER {
                self.failures = 0;
            }
            if active.sure {
                self.notify(Notice::Lost);
            }
        }
        self.phase = Phase::Probing(self.after_backoff(now, draw));
    }
}
