//! Requests to Consul and their answers, over a network that delays, cuts and refuses.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    consul::copy_of,
    world::{Happens, World},
};
use crate::{
    Error,
    error::Kind,
    registration::machine::{
        Catalog, Effect, Event, Found, Heartbeat, Place, RegisterOutcome,
        tests::unanswered::no_answer,
    },
    watch::machine::{self as watch, Reply},
};

/// A silent connection is given up after this time.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(10);
/// How long an agent waits for a leader to store a write.
const LEADER_WITHIN: Duration = Duration::from_secs(7);

/// A request to Consul.
pub(super) struct Request {
    pub(super) from: Party,
    /// That of the process that sent it; 0 for a caller.
    pub(super) run: u64,
    pub(super) ask: Ask,
    pub(super) answer: Option<Answer>,
    pub(super) is_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Process(usize),
    Caller(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Effect(Effect),
    Query(Option<(u64, Duration)>),
}

pub(super) enum Answer {
    Event(Event),
    Reply(Reply),
}

impl World {
    pub(super) fn send(&mut self, from: Party, ask: Ask, within: Duration) {
        let (run, cut_until) = match from {
            Party::Process(process) => {
                (self.processes[process].run, self.processes[process].cut_until)
            }
            Party::Caller(caller) => (0, self.callers[caller].cut_until),
        };
        let request = self.requests.len();
        self.requests.push(Request { from, run, ask, answer: None, is_open: true });
        self.at(self.now + within, Happens::GivenUp(request));
        if self.now < cut_until {
            self.at(self.now + SILENT_MAX, Happens::GivenUp(request));
        }
        let delay = self.delay();
        self.at(self.now.max(cut_until) + delay, Happens::Arrives(request));
    }

    pub(super) fn arrives(&mut self, request: usize) {
        if !self.requests[request].is_open {
            return;
        }
        if self.now < self.consul.down_until {
            let delay = self.delay();
            return self.at(self.now + delay, Happens::Refused(request));
        }
        self.execute(request);
        self.consul_changed();
    }

    /// Executes a request, and answers unless it waits for a change.
    fn execute(&mut self, request: usize) {
        let (consul, now) = (&mut self.consul, self.now);
        let Request { from, run, ask, .. } = self.requests[request];
        let process = if let Party::Process(process) = from { process } else { 0 };
        let event = match ask {
            Ask::Query(after) => {
                match consul.query(after.map(|(index, _)| index), now) {
                    Some(reply) => self.answers(request, Answer::Reply(reply)),
                    None => {
                        self.parked.insert(request);
                        let (_, wait) = after.expect("it waits");
                        let jitter = (wait / 16).mul_f64(self.rng.f64());
                        self.at(now + wait + jitter, Happens::WaitEnds(request));
                    }
                }
                return;
            }
            Ask::Effect(effect) => match effect {
                Effect::Register { .. } => {
                    consul.register(process, run, now);
                    Event::Registered(RegisterOutcome::Done)
                }
                Effect::Heartbeat { epoch, status } => {
                    let has_check = consul.heartbeat(process, status, now);
                    let heartbeat =
                        if has_check { Heartbeat::Passed } else { Heartbeat::NotRegistered };
                    Event::HeartbeatEnded { epoch, heartbeat }
                }
                Effect::Look { epoch, catalog: is_read } => {
                    // What an earlier run left when it was killed during its shutdown.
                    let is_own = consul.records.get(&process).is_some_and(|it| it.run == run);
                    if is_read && is_own && !self.processes[process].is_leaving {
                        consul.maintain(process, false, now);
                    }
                    let has = consul.catalog().iter().any(|it| copy_of(it).1 == run);
                    let catalog = if has { Catalog::Has } else { Catalog::Lacks };
                    let found = match consul.records.get(&process) {
                        None => Found::Nothing,
                        Some(record) if record.run == run => Found::Ours { catalog },
                        Some(_) => Found::AnotherRun,
                    };
                    Event::Looked { epoch, found, place: Some(Place::Advertised) }
                }
                Effect::Sweep => Event::Swept,
                Effect::Maintain => {
                    consul.maintain(process, true, now);
                    Event::Maintained
                }
                Effect::Deregister => {
                    consul.deregister(process, now);
                    Event::Deregistered { done: true }
                }
                Effect::Probe | Effect::Notice(_) => unreachable!("not a request"),
            },
        };
        self.answers(request, Answer::Event(event));
    }

    /// When Consul answers: a write waits for a leader, and fails after a while although the agent keeps it.
    fn answered_at(&self, request: usize) -> (Instant, bool) {
        let is_write = matches!(
            self.requests[request].ask,
            Ask::Effect(
                Effect::Register { .. }
                    | Effect::Heartbeat { .. }
                    | Effect::Maintain
                    | Effect::Deregister
            )
        );
        let leader_at = self.consul.leaderless_until;
        match is_write {
            true if leader_at > self.now + LEADER_WITHIN => (self.now + LEADER_WITHIN, false),
            true => (leader_at.max(self.now), true),
            false => (self.now, true),
        }
    }

    pub(super) fn answers(&mut self, request: usize, answer: Answer) {
        let cut_until = match self.requests[request].from {
            Party::Process(process) => self.processes[process].cut_until,
            Party::Caller(caller) => self.callers[caller].cut_until,
        };
        self.parked.remove(&request);
        let delay = self.delay();
        let (at, is_good) = self.answered_at(request);
        if is_good {
            self.requests[request].answer = Some(answer);
            self.at(at.max(cut_until) + delay, Happens::Returns(request));
        } else {
            self.at(at.max(cut_until) + delay, Happens::GivenUp(request));
        }
    }

    pub(super) fn returns(&mut self, request: usize) {
        let Request { from, run, is_open, answer, .. } = &mut self.requests[request];
        let (from, run, answer) = (*from, *run, answer.take());
        if !std::mem::take(is_open) {
            return;
        }
        match (from, answer.expect("it returns with an answer")) {
            (Party::Process(process), Answer::Event(event)) => self.reports(process, run, event),
            (Party::Caller(caller), Answer::Reply(reply)) => {
                self.watch(caller, watch::Event::Answered(reply))
            }
            _ => unreachable!("the answer of another request"),
        }
    }

    pub(super) fn fails(&mut self, request: usize, registered: RegisterOutcome) {
        let Request { from, run, ask, is_open, .. } = &mut self.requests[request];
        let (from, run, ask) = (*from, *run, *ask);
        self.parked.remove(&request);
        if !std::mem::take(is_open) {
            return;
        }
        match (from, ask) {
            (Party::Process(process), Ask::Effect(effect)) => {
                self.reports(process, run, no_answer(effect, registered))
            }
            (Party::Caller(caller), Ask::Query(_)) => {
                self.watch(
                    caller,
                    watch::Event::Failed(Error::new(Kind::Unreachable, "no answer")),
                );
            }
            _ => unreachable!("a request of another party"),
        }
    }

    /// The result of a request of a run, which may have ended.
    fn reports(&mut self, process: usize, run: u64, event: Event) {
        if self.processes[process].run == run {
            self.feed(process, event);
        }
    }

    /// Answers the queries that waited for this, and schedules what follows.
    pub(super) fn consul_changed(&mut self) {
        self.gone.update(&self.consul, self.now);
        for request in self.parked.clone() {
            let Ask::Query(after) = self.requests[request].ask else { continue };
            if let Some(reply) = self.consul.query(after.map(|(index, _)| index), self.now) {
                self.answers(request, Answer::Reply(reply));
            }
        }
        let due = self.consul.due_at(self.now);
        if due != self.consul_due
            && let Some(at) = due
        {
            self.consul_due = due;
            self.at(at, Happens::ConsulDue);
        }
    }

    /// Consul's agents close all connections.
    pub(super) fn disconnect(&mut self) {
        for request in 0..self.requests.len() {
            if self.requests[request].is_open {
                self.within(Duration::from_millis(5), Happens::GivenUp(request));
            }
        }
    }
}
