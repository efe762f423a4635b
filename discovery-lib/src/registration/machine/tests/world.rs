//! The simulated agent, the time, and the invariants that are checked after each event.

mod invariants;

use std::{cmp::Reverse, collections::BinaryHeap, net::Ipv4Addr, time::Duration};

use tokio::time::Instant;

use super::{
    super::*,
    unanswered::{deadline, no_answer},
};

/// The longest time after which an agent without a quorum still executes a request.
const LATE_MAX: Duration = Duration::from_secs(21);

/// The agent deregisters an instance that was critical for this time.
pub(super) const REAPED_AFTER: Duration = Duration::from_secs(60);
/// Consul's anti-entropy: an agent compares what it has with the catalog every one to two minutes.
pub(super) const REPAIRED_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Does not answer for this time; requests may be executed later.
    Hangs(Duration),
    /// Refuses connections for this time.
    Down(Duration),
    /// Uses most of the deadline of each call for this time.
    Slow(Duration),
    /// Keeps the instance out of the catalog for this time.
    Hides(Duration),
    /// Loses the instance from the catalog while its agent has it.
    Drops,
    /// Can't read the catalog for this time.
    Blind(Duration),
    /// Rejects each registration and each heartbeat for this time.
    Refuses(Duration),
    /// Loses its data.
    LosesRecord,
    /// A record with the same id is written by hand.
    Edits,
    /// The address of the host changes to this one.
    Moves(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    Ours(Place),
    Another,
    /// One without an incarnation.
    Foreign,
}

/// An address of the host.
pub(super) fn place(number: u8) -> Place {
    Place::At(Ipv4Addr::new(10, 0, 0, number).into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// A request is executed at the agent.
    Done(usize),
    /// Its answer arrives.
    Answered(usize),
    Fault(usize),
    Report(usize),
    Update,
    Reaped,
    Successor,
    Leave,
}

/// A call that the machine requested.
#[derive(Debug, Clone, Copy)]
struct Asked {
    effect: Effect,
    at: Instant,
    answer: Event,
    /// The number of changes that a registration includes.
    details: u32,
    /// Its answer never arrives, even if it is executed.
    hangs: bool,
}

pub(super) struct World {
    pub(super) now: Instant,
    start: Instant,
    pub(super) machine: Machine,
    rng: fastrand::Rng,
    queue: BinaryHeap<Reverse<(Instant, Happens)>>,
    faults: Vec<Fault>,
    /// What the program reports, in order.
    reports: Vec<CheckStatus>,
    /// The status that the program reported last, and when it began to differ from the one before.
    pub(super) reported: (CheckStatus, Instant),
    /// All effects of the machine.
    pub(super) effects: Vec<Effect>,
    calls: Vec<Asked>,
    /// The record of the agent for the id.
    pub(super) record: Option<Record>,
    /// The number of changes that it includes, of those that the last registration includes, of all that the program has made.
    pub(super) recorded_details: u32,
    sent_details: u32,
    pub(super) details: u32,
    /// The status of its check, and since when.
    pub(super) status: (CheckStatus, Instant),
    /// The catalog lacks it until this time, or until it is registered again.
    dropped_until: Instant,
    /// The current address of the host.
    pub(super) place: Place,
    no_races: bool,
    listens_at: Instant,
    hangs_until: Instant,
    down_until: Instant,
    slow_until: Instant,
    hides_until: Instant,
    blind_until: Instant,
    refuses_until: Instant,
    registering: bool,
    /// How the last registration ended, and when.
    registered: Option<(RegisterOutcome, Instant)>,
    /// After that, the agent answered that it doesn't have it.
    missed: bool,
    /// The result of the last probe, which a registration publishes.
    probed: Option<Place>,
    /// The address of the last registration.
    published: Option<Place>,
    last_heartbeat: Instant,
    last_sent: Option<CheckStatus>,
    last_found: Found,
    left_at: Option<Instant>,
    drain: Duration,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_heartbeats(seed, Some(HEARTBEAT_EVERY))
    }

    /// With a check that the agent polls.
    pub(super) fn without_heartbeats(seed: u64) -> Self {
        Self::with_heartbeats(seed, None)
    }

    fn with_heartbeats(seed: u64, heartbeat_every: Option<Duration>) -> Self {
        let now = Instant::now();
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            now,
            start: now,
            machine: Machine::new(now, heartbeat_every),
            queue: BinaryHeap::new(),
            faults: Vec::new(),
            reports: Vec::new(),
            reported: (CheckStatus::Passing, now),
            effects: Vec::new(),
            calls: Vec::new(),
            record: None,
            recorded_details: 0,
            sent_details: 0,
            details: 0,
            status: (CheckStatus::Critical, now),
            place: place(0),
            no_races: false,
            listens_at: now + Duration::from_secs(2).mul_f64(rng.f64()),
            hangs_until: now,
            down_until: now,
            slow_until: now,
            hides_until: now,
            blind_until: now,
            dropped_until: now,
            refuses_until: now,
            registering: false,
            registered: None,
            missed: false,
            probed: None,
            published: None,
            last_heartbeat: now,
            last_sent: None,
            last_found: Found::Unknown,
            left_at: None,
            drain: Duration::ZERO,
            rng,
        }
    }

    /// Times given from here on are relative to now.
    pub(super) fn begins_now(self) -> Self {
        Self { start: self.now, ..self }
    }

    pub(super) fn with(mut self, faults: &[(Duration, Fault)]) -> Self {
        for &(after, fault) in faults {
            self.schedule(self.start + after, Happens::Fault(self.faults.len()));
            self.faults.push(fault);
        }
        self
    }

    pub(super) fn reporting(mut self, reports: &[(Duration, CheckStatus)]) -> Self {
        let mut reports = reports.to_vec();
        reports.sort_by_key(|(after, _)| *after);
        for (after, status) in reports {
            self.schedule(self.start + after, Happens::Report(self.reports.len()));
            self.reports.push(status);
        }
        self
    }

    /// The program changes its details at these times.
    pub(super) fn updating(mut self, updates: &[Duration]) -> Self {
        for &after in updates {
            self.schedule(self.start + after, Happens::Update);
        }
        self
    }

    pub(super) fn succeeded(mut self, after: Duration) -> Self {
        self.schedule(self.start + after, Happens::Successor);
        self
    }

    pub(super) fn leaves(mut self, after: Duration, drain: Duration) -> Self {
        self.schedule(self.start + after, Happens::Leave);
        self.drain = drain;
        self
    }

    /// Nothing changes at the agent between an answer and the next request.
    pub(super) fn without_races(self) -> Self {
        Self { no_races: true, ..self }
    }

    pub(super) fn state(&self) -> RegistrationState {
        self.machine.state()
    }

    pub(super) fn registrations(&self) -> usize {
        self.effects.iter().filter(|it| matches!(it, Effect::Register { .. })).count()
    }

    /// Advances the time to this point, event by event.
    pub(super) fn run_until(&mut self, after: Duration) {
        let end = self.start + after;
        loop {
            let next = self.queue.peek().map(|Reverse((at, _))| *at);
            let wakes = self.machine.wakes_at();
            let Some(at) = next.into_iter().chain(wakes).min().filter(|&at| at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            if next == Some(at) {
                let Reverse((_, happens)) = self.queue.pop().unwrap();
                self.happen(happens);
            } else {
                self.feed(Event::Tick);
                let wakes = self.machine.wakes_at();
                assert!(wakes.is_none_or(|at| at > self.now), "a tick before it is due");
            }
            self.check();
        }
        self.now = end;
    }

    /// The result of a read of the catalog.
    pub(super) fn catalog(&self) -> Catalog {
        if self.now < self.blind_until {
            Catalog::Unknown
        } else if self.now < self.hides_until.max(self.dropped_until) {
            Catalog::Lacks
        } else {
            Catalog::Has
        }
    }

    fn schedule(&mut self, at: Instant, happens: Happens) {
        self.queue.push(Reverse((at, happens)));
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Done(number) => self.done(number),
            Happens::Answered(number) => self.answered(number),
            Happens::Report(number) => {
                let status = self.reports[number];
                if status != self.reported.0 {
                    self.reported = (status, self.now);
                }
                self.feed(Event::Reported(status));
            }
            Happens::Update => {
                self.details += 1;
                self.feed(Event::Updated);
            }
            Happens::Reaped => {
                let (status, since) = self.status;
                if status == CheckStatus::Critical && self.now - since >= REAPED_AFTER {
                    self.record = None;
                }
            }
            Happens::Successor => self.record = Some(Record::Another),
            Happens::Leave => {
                self.left_at = Some(self.now);
                self.feed(Event::Leave(Leave {
                    deregister_at: self.now + self.drain / 2,
                    give_up_at: self.now + self.drain + LOCAL_WITHIN,
                }));
            }
            Happens::Fault(number) => match self.faults[number] {
                Fault::Hangs(time) => self.hangs_until = self.now + time,
                Fault::Down(time) => self.down_until = self.now + time,
                Fault::Slow(time) => self.slow_until = self.now + time,
                Fault::Hides(time) => self.hides_until = self.now + time,
                Fault::Blind(time) => self.blind_until = self.now + time,
                Fault::Drops => self.dropped_until = self.now + REPAIRED_WITHIN,
                Fault::Refuses(time) => self.refuses_until = self.now + time,
                Fault::LosesRecord => self.record = None,
                Fault::Edits => self.record = Some(Record::Foreign),
                Fault::Moves(number) => self.place = place(number),
            },
        }
    }

    fn feed(&mut self, event: Event) {
        let draw = self.rng.f64();
        for effect in self.machine.on(event, self.now, draw) {
            self.effects.push(effect);
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Register { place } => self.registers(place),
            Effect::Heartbeat { status, .. } => {
                let has_heartbeats = self.machine.heartbeat_every.is_some();
                assert!(has_heartbeats, "a heartbeat for a check that has none");
                let is_change = self.last_sent.is_some_and(|sent| sent != status);
                assert!(!is_change || self.now - self.last_heartbeat >= REPORT_GAP, "too soon");
                self.last_heartbeat = self.now;
                self.last_sent = Some(status);
            }
            Effect::Sweep => {
                let is_found = matches!(self.last_found, Found::Ours { .. });
                assert!(is_found, "sweeps before it is in the catalog");
                let sweeps = self.effects.iter().filter(|effect| **effect == Effect::Sweep);
                assert_eq!(sweeps.count(), 1, "sweeps again");
            }
            Effect::Maintain | Effect::Deregister => {
                let is_ours = matches!(self.last_found, Found::Ours { .. } | Found::Outdated);
                assert!(is_ours, "not ours: {effect:?}");
                self.last_found = Found::Unknown;
            }
            Effect::Notice(notice) => {
                // A changed address is a reason to register again, as a loss is.
                self.missed |= notice == Notice::Moved;
                return;
            }
            Effect::Probe | Effect::Look { .. } => {}
        }
        let (number, within) = (self.calls.len(), deadline(effect));
        // A probe connects to the instance, not to the agent.
        let agent = effect != Effect::Probe;
        let (hangs, down) =
            (agent && self.now < self.hangs_until, agent && self.now < self.down_until);
        let open = if hangs { RegisterOutcome::Unknown } else { RegisterOutcome::Failed };
        let (answer, details) = (no_answer(effect, open), self.sent_details);
        self.calls.push(Asked { effect, at: self.now, answer, details, hangs });
        let (done, answered) = if hangs {
            let late = self.rng.bool().then(|| LATE_MAX.mul_f64(self.rng.f64()));
            (late, within)
        } else {
            let full = if self.now < self.slow_until { within } else { Duration::from_millis(50) };
            let answered = full.mul_f64(self.rng.f64() * 0.95);
            let share = match effect {
                Effect::Deregister if self.no_races => 0.0,
                _ if self.no_races => 1.0,
                _ => self.rng.f64(),
            };
            ((!down).then(|| answered.mul_f64(share)), answered)
        };
        if let Some(done) = done {
            self.schedule(self.now + done, Happens::Done(number));
        }
        self.schedule(self.now + answered, Happens::Answered(number));
    }

    /// Executes a request at the agent, and sets its answer.
    fn done(&mut self, number: usize) {
        let before = self.record;
        let effect = self.calls[number].effect;
        let refuses = self.now < self.refuses_until;
        let answer = match effect {
            Effect::Probe if self.now < self.listens_at => Event::Probed(Probed::Silent),
            Effect::Probe => Event::Probed(Probed::Answered(self.place)),
            Effect::Register { .. } if refuses => Event::Registered(RegisterOutcome::Refused),
            Effect::Register { place } => {
                self.record = Some(Record::Ours(place));
                self.recorded_details = self.calls[number].details;
                // An existing check keeps its status.
                if before.is_none() {
                    self.sets(CheckStatus::Passing);
                }
                self.dropped_until = self.now;
                Event::Registered(RegisterOutcome::Done)
            }
            Effect::Heartbeat { epoch, status } => Event::HeartbeatEnded {
                epoch,
                heartbeat: match before {
                    _ if refuses => Heartbeat::Refused,
                    None => Heartbeat::NotRegistered,
                    Some(_) => {
                        self.sets(status);
                        Heartbeat::Passed
                    }
                },
            },
            Effect::Look { epoch, .. } => Event::Looked {
                epoch,
                found: match before {
                    None => Found::Nothing,
                    Some(Record::Another) => Found::AnotherRun,
                    Some(Record::Foreign) => Found::Edited,
                    Some(Record::Ours(place))
                        if Some(place) != self.machine.place()
                            || self.recorded_details != self.sent_details =>
                    {
                        Found::Outdated
                    }
                    Some(Record::Ours(_)) => Found::Ours { catalog: self.catalog() },
                },
                place: Some(self.place),
            },
            Effect::Sweep => Event::Swept,
            Effect::Maintain => Event::Maintained,
            Effect::Deregister => {
                self.record = None;
                Event::Deregistered { done: true }
            }
            Effect::Notice(_) => unreachable!("not a call"),
        };
        if !self.calls[number].hangs {
            self.calls[number].answer = answer;
        }
    }

    /// Sets the check.
    fn sets(&mut self, status: CheckStatus) {
        if status != self.status.0 {
            self.status = (status, self.now);
            if status == CheckStatus::Critical {
                self.schedule(self.now + REAPED_AFTER, Happens::Reaped);
            }
        }
    }

    fn answered(&mut self, number: usize) {
        let Asked { at, mut answer, .. } = self.calls[number];
        let after_registration = self.registered.is_some_and(|(_, ended)| at >= ended);
        match answer {
            Event::Registered(outcome) => {
                self.registering = false;
                self.registered = Some((outcome, self.now));
                self.missed = false;
            }
            Event::Probed(Probed::Answered(place)) => self.probed = Some(place),
            Event::HeartbeatEnded { heartbeat, .. } => {
                self.missed |= heartbeat == Heartbeat::NotRegistered && after_registration;
            }
            Event::Looked { found, ref mut place, .. } => {
                // The address of the host is known without the agent.
                *place = Some(self.place);
                self.last_found = found;
                let lacks = matches!(found, Found::Ours { catalog: Catalog::Lacks });
                let not_ours = lacks
                    || matches!(
                        found,
                        Found::Nothing | Found::AnotherRun | Found::Edited | Found::Outdated
                    );
                self.missed |= not_ours && after_registration;
            }
            _ => {}
        }
        self.feed(answer);
    }
}
