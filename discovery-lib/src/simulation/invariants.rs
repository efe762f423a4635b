//! What must hold, whatever fails.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    caller::Caller,
    consul::{Consul, copy_of},
    process::Process,
};
use crate::{PoolOptions, Status, tries::is_repeatable, watch::pace};

/// A caller whose watch has no trouble for this time knows the catalog: a silent connection is given up after 10 s, and a failed query sent
/// again within the backoff of 5 s.
pub(super) const KNOWS_WITHIN: Duration = Duration::from_secs(20);
/// How long an instance that vanished stays as a reserve, by default.
const RESERVE: Duration = Duration::from_secs(60);
/// Without faults for this time, everything is right again: the longest backoff of a registrar, the reads of the catalog after a loss, and the
/// end of a critical check.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(50);
/// The span in which requests to the agent are counted.
const SPAN: Duration = Duration::from_secs(10);
/// The most requests of a watch in it.
const QUERIES_MAX: usize =
    pace::BURST as usize + (SPAN.as_millis() / pace::REFILL.as_millis()) as usize;
/// The most requests of a registrar in it: a heartbeat a second, and looks, registrations and probes that each begin with pauses of 50 ms,
/// twice as long each time.
const REGISTRAR_MAX: usize = 60;

/// The requests of one program to its agent within the last [`SPAN`].
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<Instant>);

impl Rate {
    /// No busy loop.
    pub(super) fn sent(&mut self, now: Instant, is_watch: bool) {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| *at + SPAN < now) {
            self.0.pop_front();
        }
        let max = if is_watch { QUERIES_MAX } else { REGISTRAR_MAX };
        assert!(
            self.0.len() <= max,
            "a busy loop: {} requests within {SPAN:?}, at most {max} are expected",
            self.0.len()
        );
    }
}

/// Since when each run is not in the catalog, or in maintenance.
#[derive(Debug, Default)]
pub(super) struct Gone {
    at: HashMap<u64, Instant>,
    present: Vec<u64>,
}

impl Gone {
    pub(super) fn update(&mut self, consul: &Consul, now: Instant) {
        let catalog = consul.catalog().iter().filter(|it| it.status != Status::Maintenance);
        let present: Vec<_> = catalog.map(|it| copy_of(it).1).collect();
        for run in &self.present {
            if !present.contains(run) {
                self.at.insert(*run, now);
            }
        }
        for run in &present {
            self.at.remove(run);
        }
        self.present = present;
    }

    /// No request goes to an instance that left longer than a bound ago.
    pub(super) fn check_pick(&self, caller: &Caller, run: u64, is_reserve: bool, now: Instant) {
        let Some(gone_at) = self.at.get(&run) else { return };
        let kept = if is_reserve { RESERVE } else { Duration::ZERO };
        let known_at = (*gone_at).max(caller.impaired_until) + KNOWS_WITHIN;
        assert!(
            now <= known_at + kept,
            "a call to run {run}, which left {:?} ago (reserve: {is_reserve})",
            now - *gone_at
        );
    }
}

/// An instance that serves stays in the pool of who knows it, whatever Consul says, for as long as a reserve is kept.
pub(super) fn check_members(caller: &Caller, processes: &[Process], now: Instant) {
    let members = caller.pool.members();
    for (number, process) in processes.iter().enumerate().filter(|(_, it)| it.is_well(now)) {
        let known = caller.known_at.get(&process.run).is_some_and(|at| now < *at + RESERVE);
        // A reserve that can't be reached is dropped.
        let is_reachable = now > caller.partitioned_until[number] + RESERVE;
        let is_member =
            members.iter().any(|it| copy_of(&it.instance).1 == process.run && !it.is_dropped());
        assert!(
            is_member || !known || !is_reachable,
            "run {} serves and is known, and is no member",
            process.run
        );
    }
}

/// At most half of the members are ejected.
pub(super) fn check_ejected(caller: &Caller) {
    let members = caller.pool.members();
    let live: Vec<_> = members.iter().filter(|it| it.reserve_until.is_none()).collect();
    let ejected = live.iter().filter(|it| it.stats.ejected_until().is_some()).count();
    let max = usize::from(PoolOptions::default().ejected_max_percent);
    assert!(ejected * 100 <= max * live.len(), "{ejected} of {} members are ejected", live.len());
}

/// What must not be sent twice is served once at most.
pub(super) fn check_served(method: &http::Method, served: u32) {
    assert!(served <= 1 || is_repeatable(method), "{method} was served {served} times");
}

/// After the last fault all is right again: each process is registered, and each caller has exactly these.
pub(super) fn check_settled(callers: &[Caller], processes: &[Process], consul: &Consul) {
    use crate::registration::RegistrationState::Ready;
    for (number, process) in processes.iter().enumerate() {
        assert_eq!(process.state(), Some(Ready), "process {number} is not registered");
        let is_there = consul.catalog().iter().any(|it| copy_of(it) == (number, process.run));
        assert!(is_there, "process {number} is not in the catalog");
    }
    let expected: Vec<_> = processes.iter().map(|process| process.run).collect();
    for (number, caller) in callers.iter().enumerate() {
        let members = caller.pool.members();
        let current = members.iter().filter(|it| it.reserve_until.is_none());
        let runs: Vec<_> = current.map(|it| copy_of(&it.instance).1).collect();
        assert_eq!(runs, expected, "the instances that caller {number} knows");
    }
}
