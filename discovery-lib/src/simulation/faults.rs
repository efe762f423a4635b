//! The faults of a run.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    requests::{Party, SILENT_MAX},
    world::{Happens, World},
};
use crate::registration::machine::{Event, Leave};

/// Faults begin before this time, and have ended at [`CALM_AFTER`].
pub(super) const BEGIN_BEFORE: Duration = Duration::from_secs(80);
/// From here on nothing fails.
pub(super) const CALM_AFTER: Duration = Duration::from_secs(110);
/// The most faults of a run.
const FAULTS_MAX: usize = 10;

/// A fault. It ends before [`CALM_AFTER`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Consul's agents refuse connections, and close those that are open.
    ConsulDown(Duration),
    /// All servers lose their data: the catalog is empty, and its index begins anew. They take a second at least to start. (A query that is sent
    /// between the end of the old server and the start of the new one fails, and the next one carries no index. If none is, one waits at the
    /// new server for an index of the old one until its wait ends, 35 s at most.)
    ConsulLosesData,
    /// There is no leader: agents keep the writes, and the catalog has them later.
    NoLeader(Duration),
    /// Reads are answered by a server that is this far behind, for this time.
    Lags { behind: Duration, lasts: Duration },
    /// Other services change all the time: each query is answered at once, with a higher index.
    Churns(Duration),
    /// Nothing passes between a process and its agent.
    ProcessCut(usize, Duration),
    /// Nothing passes between a caller and its agent.
    CallerCut(usize, Duration),
    /// Nothing passes between a caller and a process.
    Partition { caller: usize, process: usize, lasts: Duration },
    /// A process ends at once, and is started again after this time.
    Crash(usize, Duration),
    /// A process shuts down gracefully, and is started again this long after its end.
    ShutDown(usize, Duration),
    /// A process accepts requests and does not answer them.
    Hangs(usize, Duration),
    /// A process answers with errors.
    Errs(usize, Duration),
}

/// The faults of a seed, each with its time.
pub(super) fn draw(rng: &mut Rng, processes: usize, callers: usize) -> Vec<(Duration, Fault)> {
    let count = rng.usize(0..=FAULTS_MAX);
    let mut draw = || {
        let at = BEGIN_BEFORE.mul_f64(rng.f64());
        (at, one(rng, at, processes, callers))
    };
    let mut faults: Vec<_> = (0..count).map(|_| draw()).collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// A fault that begins then.
fn one(rng: &mut Rng, at: Duration, processes: usize, callers: usize) -> Fault {
    let is_long = rng.u8(..8) == 0;
    let longest = if is_long { CALM_AFTER - at } else { CALM_AFTER - BEGIN_BEFORE };
    // Short ones more often.
    let lasts = longest.mul_f64(rng.f64() * rng.f64());
    let (process, caller) = (rng.usize(..processes), rng.usize(..callers));
    match rng.u8(..12) {
        0 => Fault::ConsulDown(lasts),
        1 => Fault::ConsulLosesData,
        2 => Fault::NoLeader(lasts),
        3 => Fault::Lags { behind: Duration::from_secs(5).mul_f64(rng.f64()), lasts },
        4 => Fault::ProcessCut(process, lasts),
        5 => Fault::CallerCut(caller, lasts),
        6 => Fault::Partition { caller, process, lasts },
        7 => Fault::Crash(process, lasts),
        8 => Fault::ShutDown(process, lasts / 3),
        9 => Fault::Hangs(process, lasts),
        10 => Fault::Churns(lasts),
        _ => Fault::Errs(process, lasts),
    }
}

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.is_traced {
            println!("           {fault:?}");
        }
        let now = self.now;
        match fault {
            Fault::ConsulDown(lasts) => {
                self.consul.down_until = self.consul.down_until.max(now + lasts);
                self.impairs(now + lasts);
                self.disconnect();
            }
            Fault::ConsulLosesData => {
                let lasts = Duration::from_secs(1) + Duration::from_secs(3).mul_f64(self.rng.f64());
                let index = self.rng.u64(1..40);
                self.consul.lose_data(index, now);
                self.consul.down_until = self.consul.down_until.max(now + lasts);
                self.impairs(now + lasts);
                self.disconnect();
                self.tally.losses += 1;
            }
            Fault::NoLeader(lasts) => {
                self.consul.leaderless_until = self.consul.leaderless_until.max(now + lasts);
            }
            Fault::Lags { behind, lasts } => {
                self.consul.lag(behind, now + lasts);
                self.impairs(now + lasts + behind);
            }
            Fault::Churns(lasts) => self.consul.churns_until = now + lasts,
            Fault::ProcessCut(process, lasts) => {
                self.processes[process].cut_until = now + lasts;
                self.cut(Party::Process(process));
            }
            Fault::CallerCut(caller, lasts) => {
                self.callers[caller].cut_until = now + lasts;
                self.callers[caller].impaired_until =
                    self.callers[caller].impaired_until.max(now + lasts);
                self.cut(Party::Caller(caller));
            }
            Fault::Partition { caller, process, lasts } => {
                self.callers[caller].partitioned_until[process] = now + lasts;
            }
            Fault::Crash(process, lasts) => {
                if self.processes[process].machine.is_some() {
                    self.processes[process].end();
                    self.close(Party::Process(process));
                    self.tally.crashes += 1;
                    self.at(now + lasts, Happens::Starts(process));
                }
            }
            Fault::ShutDown(process, lasts) => self.shut_down(process, lasts),
            Fault::Hangs(process, lasts) => self.processes[process].hangs_until = now + lasts,
            Fault::Errs(process, lasts) => self.processes[process].errs_until = now + lasts,
        }
        self.consul_changed();
    }

    /// The view of each caller may be out of date until then.
    fn impairs(&mut self, until: Instant) {
        for caller in &mut self.callers {
            caller.impaired_until = caller.impaired_until.max(until);
        }
    }

    /// The open requests of a party are on a connection that is silent now.
    fn cut(&mut self, party: Party) {
        self.tally.cuts += 1;
        let until = match party {
            Party::Process(process) => self.processes[process].cut_until,
            Party::Caller(caller) => self.callers[caller].cut_until,
        };
        if until < self.now + SILENT_MAX {
            return;
        }
        for request in 0..self.requests.len() {
            if self.requests[request].is_open && self.requests[request].from == party {
                self.at(self.now + SILENT_MAX, Happens::GivenUp(request));
            }
        }
    }

    /// What a party has sent and has not arrived yet is lost with its connections.
    fn close(&mut self, party: Party) {
        for request in self.requests.iter_mut().filter(|it| it.from == party) {
            request.is_open = false;
        }
    }

    fn shut_down(&mut self, process: usize, lasts: Duration) {
        if self.processes[process].is_leaving || self.processes[process].machine.is_none() {
            return;
        }
        self.processes[process].is_leaving = true;
        let drain = Duration::from_secs(2);
        let leave = Leave { deregister_at: self.now + drain / 2, give_up_at: self.now + drain * 2 };
        self.feed(process, Event::Leave(leave));
        self.at(leave.give_up_at + Duration::from_millis(100) + lasts, Happens::Starts(process));
    }
}
