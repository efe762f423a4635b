//! The time and the queue of events.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    caller::{Call, Caller},
    consul::Consul,
    faults::{self, CALM_AFTER, Fault},
    invariants::{self, Gone, Rate, SETTLES_WITHIN},
    process::Process,
    requests::{Answer, Request},
    tally::Tally,
};
use crate::{
    registration::machine::{Event, Place, Probed, RegisterOutcome},
    watch::machine as watch,
};

/// The end of a run: it is calm for a while after everything has settled.
const END: Duration =
    CALM_AFTER.saturating_add(SETTLES_WITHIN).saturating_add(Duration::from_secs(15));

/// What happens at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happens {
    Starts(usize),
    /// The registrar of a run of a process has something to do.
    Wakes(usize, u64),
    Probed(usize, u64),
    /// A request arrives at Consul.
    Arrives(usize),
    /// The wait of a blocking query ends.
    WaitEnds(usize),
    /// An answer arrives.
    Returns(usize),
    /// A request is over without an answer: because nothing listens, or for another reason.
    Refused(usize),
    GivenUp(usize),
    ConsulDue,
    Fault(usize),
    /// The watch of a caller begins, or has slept.
    WatchDue(usize),
    PoolDue(usize),
    Calls(usize),
    /// The current try of a call arrives at its instance, its outcome is known, or the next one is due.
    Reaches(usize),
    Ends(usize),
    Retries(usize),
}

/// An entry of the queue. Those of one time are in the order in which they were scheduled.
struct Due(Instant, u64, Happens);

pub(super) struct World {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) is_traced: bool,
    queue: BinaryHeap<Reverse<Due>>,
    scheduled: u64,
    pub(super) runs: u64,
    pub(super) consul: Consul,
    /// The time of the next [`Happens::ConsulDue`].
    pub(super) consul_due: Option<Instant>,
    pub(super) processes: Vec<Process>,
    pub(super) callers: Vec<Caller>,
    pub(super) rates: Vec<Rate>,
    pub(super) requests: Vec<Request>,
    /// The requests that are blocking queries, waiting for a change.
    pub(super) parked: BTreeSet<usize>,
    pub(super) calls: Vec<Call>,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) gone: Gone,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let (now, mut rng) = (Instant::now(), Rng::with_seed(seed));
        let (processes, callers) = (rng.usize(1..=4), rng.usize(1..=2));
        let faults = faults::draw(&mut rng, processes, callers);
        let mut world = Self {
            start: now,
            now,
            is_traced,
            queue: BinaryHeap::new(),
            scheduled: 0,
            runs: 0,
            consul: Consul::new(now),
            consul_due: None,
            processes: (0..processes).map(|_| Process::new(now)).collect(),
            callers: (0..callers).map(|_| Caller::new(rng.u64(..), processes, now)).collect(),
            rates: (0..processes + callers).map(|_| Rate::default()).collect(),
            requests: Vec::new(),
            parked: BTreeSet::new(),
            calls: Vec::new(),
            faults,
            gone: Gone::default(),
            tally: Tally::default(),
            rng,
        };
        for process in 0..processes {
            world.within(Duration::from_secs(3), Happens::Starts(process));
        }
        for caller in 0..callers {
            world.within(Duration::from_secs(3), Happens::WatchDue(caller));
            world.within(Duration::from_secs(3), Happens::Calls(caller));
        }
        for (number, (at, _)) in world.faults.clone().into_iter().enumerate() {
            world.at(now + at, Happens::Fault(number));
        }
        world
    }

    pub(super) fn run(mut self) -> Tally {
        let mut has_settled = false;
        while let Some(Reverse(Due(at, _, happens))) = self.queue.pop() {
            if at > self.start + END {
                break;
            }
            if at > self.start + CALM_AFTER + SETTLES_WITHIN && !has_settled {
                has_settled = true;
                invariants::check_settled(&self.callers, &self.processes, &self.consul);
            }
            self.now = at;
            if self.is_traced {
                println!("{:>10.4} {happens:?}", (at - self.start).as_secs_f64());
            }
            self.tally.events += 1;
            let micros = (at - self.start).as_micros() as u64;
            self.tally.trace = self.tally.trace.wrapping_mul(31).wrapping_add(micros);
            self.happen(happens);
        }
        assert!(has_settled, "the run has ended early");
        self.tally
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Starts(process) => self.starts(process),
            Happens::Wakes(process, run) => {
                let machine = self.processes[process].machine.as_ref();
                let due = machine.and_then(|it| it.wakes_at()).is_some_and(|at| at <= self.now);
                if due && self.processes[process].run == run {
                    self.feed(process, Event::Tick);
                }
            }
            Happens::Probed(process, run) => {
                let listens = self.processes[process].listens(self.now);
                let probed =
                    if listens { Probed::Answered(Place::Advertised) } else { Probed::Silent };
                if self.processes[process].run == run {
                    self.feed(process, Event::Probed(probed));
                }
            }
            Happens::Arrives(request) => self.arrives(request),
            Happens::WaitEnds(request) if self.parked.contains(&request) => {
                self.answers(request, Answer::Reply(self.consul.reply(self.now)));
            }
            Happens::Returns(request) => self.returns(request),
            Happens::Refused(request) => self.fails(request, RegisterOutcome::Failed),
            Happens::GivenUp(request) => self.fails(request, RegisterOutcome::Unknown),
            Happens::ConsulDue if self.consul_due == Some(self.now) => {
                self.consul_due = None;
                self.consul.tick(self.now);
                self.consul_changed();
            }
            Happens::WaitEnds(_) | Happens::ConsulDue => {}
            Happens::Fault(number) => self.fault(self.faults[number].1),
            Happens::WatchDue(caller) => self.watch(caller, watch::Event::Due),
            Happens::PoolDue(caller) => {
                self.published(caller, self.callers[caller].publish(self.now))
            }
            Happens::Calls(caller) => self.call(caller),
            Happens::Reaches(call) => self.reaches(call),
            Happens::Ends(call) => self.ends(call),
            Happens::Retries(call) => self.retries(call),
        }
    }

    pub(super) fn at(&mut self, at: Instant, happens: Happens) {
        self.scheduled += 1;
        self.queue.push(Reverse(Due(at, self.scheduled, happens)));
    }

    /// At a random time within this span.
    pub(super) fn within(&mut self, span: Duration, happens: Happens) {
        let at = self.now + span.mul_f64(self.rng.f64());
        self.at(at, happens);
    }

    /// The delay of a message.
    pub(super) fn delay(&mut self) -> Duration {
        let slow = self.rng.u8(..20) == 0;
        Duration::from_millis(if slow { 80 } else { 4 }).mul_f64(0.05 + self.rng.f64())
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
