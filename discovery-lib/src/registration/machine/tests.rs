//! The machine against a simulated agent that hangs, dies, forgets, applies late and is taken over, at every possible moment.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

/// Deadlines of the calls, as [`crate::agent`] has them.
const LOCAL_WITHIN: Duration = Duration::from_secs(1);
const REGISTER_WITHIN: Duration = Duration::from_secs(10);
/// The longest that an agent without a quorum takes, and does it nevertheless.
const LATE_MAX: Duration = Duration::from_secs(21);
/// After the last fault all must be well in this time: the longest outstanding call, a full pause, a look.
const WELL_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Answers nothing for so long; what it was asked may be done later.
    Hangs(Duration),
    /// Refuses, or refuses connections, for so long.
    Down(Duration),
    /// Loses all that it knew.
    Forgets,
    /// Keeps the instance from the catalog for so long.
    Hides(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Ours,
    Another,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// The outcome of the effect with this number arrives.
    Outcome(usize),
    /// A call that hung is done after all.
    Late(usize),
    Fault(usize),
    Successor,
    Leave,
}

struct World {
    now: Instant,
    start: Instant,
    machine: Machine,
    rng: fastrand::Rng,
    queue: BinaryHeap<Reverse<(Instant, Happens)>>,
    faults: Vec<Fault>,
    effects: Vec<Effect>,
    outcomes: Vec<Option<Event>>,
    record: Option<Run>,
    hangs_until: Instant,
    down_until: Instant,
    hides_until: Instant,
    registering: usize,
    last_beat: Instant,
    last_found: Found,
    leaving: Option<Instant>,
    drain: Duration,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            machine: Machine::new(now),
            rng: fastrand::Rng::with_seed(seed),
            queue: BinaryHeap::new(),
            faults: Vec::new(),
            effects: Vec::new(),
            outcomes: Vec::new(),
            record: None,
            hangs_until: now,
            down_until: now,
            hides_until: now,
            registering: 0,
            last_beat: now,
            last_found: Found::Unknown,
            leaving: None,
            drain: Duration::ZERO,
        }
    }

    fn with_faults(mut self, faults: &[(Duration, Fault)]) -> Self {
        for &(after, fault) in faults {
            self.queue.push(Reverse((self.start + after, Happens::Fault(self.faults.len()))));
            self.faults.push(fault);
        }
        self
    }

    fn at(mut self, after: Duration, happens: Happens) -> Self {
        self.queue.push(Reverse((self.start + after, happens)));
        self
    }

    /// Lets time pass up to here, from one thing that happens to the next.
    fn run_until(&mut self, after: Duration) {
        let end = self.start + after;
        loop {
            let next = self.queue.peek().map(|Reverse((at, _))| *at);
            let wakes = self.machine.wakes_at();
            let Some(at) = next.into_iter().chain(wakes).min().filter(|&at| at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            if next == Some(at) {
                let happens = self.queue.pop().unwrap().0.1;
                self.happen(happens);
            } else {
                self.feed(Event::Tick);
            }
            self.check();
        }
        self.now = end;
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Outcome(number) => {
                let event = self.outcomes[number].take();
                let event = event.unwrap_or_else(|| self.answer(number));
                if let Event::Looked { found, .. } = event {
                    self.last_found = found;
                }
                self.registering -= usize::from(matches!(event, Event::Registered(_)));
                self.feed(event);
            }
            Happens::Late(number) => self.apply(number),
            Happens::Successor => self.record = Some(Run::Another),
            Happens::Leave => {
                self.leaving = Some(self.now);
                self.feed(Event::Leave {
                    deregister_at: self.now + self.drain / 2,
                    give_up_at: self.now + self.drain + LOCAL_WITHIN,
                });
            }
            Happens::Fault(number) => match self.faults[number] {
                Fault::Hangs(time) => self.hangs_until = self.now + time,
                Fault::Down(time) => self.down_until = self.now + time,
                Fault::Hides(time) => self.hides_until = self.now + time,
                Fault::Forgets => self.record = None,
            },
        }
    }

    fn feed(&mut self, event: Event) {
        let draw = self.rng.f64();
        for effect in self.machine.on(event, self.now, draw) {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Register => {
                assert_eq!(self.registering, 0, "two registrations in flight");
                assert!(self.leaving.is_none(), "a registration after leaving");
                self.registering += 1;
            }
            Effect::Beat { .. } => self.last_beat = self.now,
            Effect::Maintain | Effect::Deregister => {
                assert!(matches!(self.last_found, Found::Ours { .. }), "not ours: {effect:?}");
            }
            Effect::Tell(_) => return,
            Effect::Probe | Effect::Look { .. } => {}
        }
        let number = self.effects.len();
        self.effects.push(effect);
        let (outcome, after) = if effect == Effect::Probe {
            (Some(Event::Probed { answered: self.rng.f64() < 0.8 }), self.latency())
        } else if self.now < self.hangs_until {
            if self.rng.bool() {
                let late = self.now + LATE_MAX.mul_f64(self.rng.f64());
                self.queue.push(Reverse((late, Happens::Late(number))));
            }
            (Some(unknown(effect, Registered::Unknown)), deadline(effect))
        } else if self.now < self.down_until {
            (Some(unknown(effect, Registered::Failed)), self.latency())
        } else {
            (None, self.latency())
        };
        self.outcomes.push(outcome);
        self.queue.push(Reverse((self.now + after, Happens::Outcome(number))));
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(100..50_000))
    }

    /// What a healthy agent does and says.
    fn answer(&mut self, number: usize) -> Event {
        let before = self.record;
        self.apply(number);
        match self.effects[number] {
            Effect::Register => Event::Registered(Registered::Done),
            Effect::Beat { epoch } => Event::Beaten { epoch, forgotten: before.is_none() },
            Effect::Look { epoch, .. } => Event::Looked {
                epoch,
                found: match before {
                    None => Found::Nothing,
                    Some(Run::Another) => Found::AnotherRun,
                    Some(Run::Ours) => Found::Ours { in_catalog: self.now >= self.hides_until },
                },
            },
            Effect::Maintain => Event::Maintained,
            Effect::Deregister => Event::Deregistered { done: true },
            Effect::Probe | Effect::Tell(_) => unreachable!("not for the agent"),
        }
    }

    fn apply(&mut self, number: usize) {
        match self.effects[number] {
            Effect::Register => self.record = Some(Run::Ours),
            Effect::Deregister => self.record = None,
            _ => {}
        }
    }

    /// What must hold at every moment.
    fn check(&self) {
        if matches!(self.machine.phase, Phase::Standing(_)) {
            let gap = self.now - self.last_beat;
            assert!(gap <= BEAT_EVERY, "no beat for {gap:?}");
        }
        if let Some(left_at) = self.leaving {
            let over = self.now > left_at + self.drain + LOCAL_WITHIN;
            assert!(!over || self.machine.state() == State::Left, "still not left");
        }
        let calls = self.effects.len() as f64;
        let calls_max = 60.0 + 2.0 * (self.now - self.start).as_secs_f64();
        assert!(calls <= calls_max, "a busy loop: {calls} calls");
    }

    fn registrations(&self) -> usize {
        self.effects.iter().filter(|effect| **effect == Effect::Register).count()
    }
}

fn deadline(effect: Effect) -> Duration {
    if effect == Effect::Register { REGISTER_WITHIN } else { LOCAL_WITHIN }
}

/// The outcome of a call that brought no answer that counts.
fn unknown(effect: Effect, registered: Registered) -> Event {
    match effect {
        Effect::Register => Event::Registered(registered),
        Effect::Beat { epoch } => Event::Beaten { epoch, forgotten: false },
        Effect::Look { epoch, .. } => Event::Looked { epoch, found: Found::Unknown },
        Effect::Maintain => Event::Maintained,
        Effect::Deregister => Event::Deregistered { done: false },
        Effect::Probe | Effect::Tell(_) => unreachable!("not for the agent"),
    }
}

fn time(max_ms: u64) -> impl Strategy<Value = Duration> {
    (0..max_ms).prop_map(Duration::from_millis)
}

/// Faults that take no data away, and no registration ever reached a catalog late because of them once it stood.
fn silence() -> impl Strategy<Value = Fault> {
    prop_oneof![
        time(40_000).prop_map(Fault::Hangs),
        time(40_000).prop_map(Fault::Down),
        time(40_000).prop_map(Fault::Hides),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![1 => Just(Fault::Forgets), 2 => silence()]
}

fn some(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Vec<(Duration, Fault)>> {
    proptest::collection::vec((time(FAULTS_MS), fault), 0..8)
}

/// Faults begin in the first two minutes; the last one ends 40 s later.
const FAULTS_MS: u64 = 120_000;
const FAULTS_END: Duration = Duration::from_secs(160);

proptest! {
    #[test]
    fn whatever_happened_it_is_found_again(seed: u64, faults in some(fault())) {
        let mut world = World::new(seed).with_faults(&faults);
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.machine.state(), State::Ready);
        prop_assert_eq!(world.record, Some(Run::Ours));
    }

    #[test]
    fn silence_alone_never_registers_again(seed: u64, faults in some(silence())) {
        let mut world = World::new(seed);
        world.run_until(Duration::from_secs(10));
        prop_assert_eq!(world.machine.state(), State::Ready);
        let mut world = World { start: world.now, ..world }.with_faults(&faults);
        let before = world.registrations();
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.machine.state(), State::Ready);
        prop_assert_eq!(world.registrations(), before);
    }

    #[test]
    fn it_leaves_in_time_whatever_happens(
        seed: u64,
        faults in some(fault()),
        leave_at in time(FAULTS_MS),
        drain in time(30_000),
    ) {
        let mut world = World::new(seed).with_faults(&faults).at(leave_at, Happens::Leave);
        world.drain = drain;
        world.run_until(FAULTS_END + drain + LOCAL_WITHIN);
        prop_assert_eq!(world.machine.state(), State::Left);
        prop_assert_eq!(world.machine.wakes_at(), None);
    }

    #[test]
    fn an_agent_that_answers_has_nothing_left_of_it(
        seed: u64,
        leave_at in time(60_000),
        drain in time(10_000),
    ) {
        let mut world = World::new(seed).at(leave_at, Happens::Leave);
        world.drain = drain;
        world.run_until(leave_at + drain + LOCAL_WITHIN);
        prop_assert_eq!(world.record, None);
    }

    #[test]
    fn a_successor_is_left_alone(
        seed: u64,
        faults in some(silence()),
        successor_at in time(FAULTS_MS),
        leave_after in time(60_000),
        drain in time(10_000),
    ) {
        // A call that hung may be done late, on whoever is there then; no caller can prevent that.
        let faults: Vec<_> =
            faults.into_iter().filter(|(_, fault)| !matches!(fault, Fault::Hangs(_))).collect();
        let successor_at = successor_at + Duration::from_secs(20);
        let mut world = World::new(seed);
        world.run_until(Duration::from_secs(10));
        prop_assert_eq!(world.machine.state(), State::Ready);
        let mut world = World { start: world.now, ..world }
            .with_faults(&faults)
            .at(successor_at, Happens::Successor)
            .at(successor_at + leave_after, Happens::Leave);
        world.drain = drain;
        let before = world.registrations();
        world.run_until(FAULTS_END + WELL_WITHIN * 2);
        prop_assert_eq!(world.record, Some(Run::Another));
        prop_assert_eq!(world.registrations(), before);
        prop_assert!(!world.effects.contains(&Effect::Deregister));
    }
}

#[test]
fn a_successor_ends_the_beats() {
    let successor_at = Duration::from_secs(20);
    let mut world = World::new(7).at(successor_at, Happens::Successor);
    world.run_until(successor_at + LOOK_EVERY + LOCAL_WITHIN);
    assert_eq!(world.machine.state(), State::Replaced);
    assert_eq!(world.machine.wakes_at(), None);
}

#[test]
fn pauses_grow_to_a_limit_and_are_spread() {
    for (failures, draw, ms) in [
        (0, 0.0, 50),
        (0, 1.0, 100),
        (1, 1.0, 200),
        (6, 1.0, 6400),
        (7, 1.0, 10_000),
        (u32::MAX, 1.0, 10_000),
        (u32::MAX, 0.0, 5000),
    ] {
        assert_eq!(pause(failures, draw), Duration::from_millis(ms), "{failures} {draw}");
    }
}
