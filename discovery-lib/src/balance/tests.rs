//! Whole pools under simulated load: servers that are slow, fail, hang or recover, with a simulated clock and seeded draws.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

use super::{Balancer, Probe, RandomDraws, Ranks, Request};
use crate::{
    Host, Instance, PoolOptions, Verdict, Weights,
    member::{Call, EjectionLimit, Member, MemberStats, Moment},
};

/// The deadline of a try.
const DEADLINE: Duration = Duration::from_secs(1);

/// The behaviour of a server. Times vary from half to one and a half of their value.
#[derive(Debug, Clone, Copy)]
enum Server {
    Answers {
        millis: u64,
    },
    FailsAfter {
        millis: u64,
    },
    Hangs,
    /// Hangs between these seconds, and answers at other times.
    HangsBetween {
        from: u64,
        to: u64,
        millis: u64,
    },
}

impl Server {
    fn answer(self, now: Moment, draws: &mut Rng) -> (Duration, Verdict) {
        let mut taking = |millis| Duration::from_millis(millis).mul_f32(0.5 + draws.f32());
        let hangs = (DEADLINE, Verdict::FAILURE);
        match self {
            Self::Answers { millis } => (taking(millis), Verdict::SUCCESS),
            Self::FailsAfter { millis } => (taking(millis), Verdict::FAILURE),
            Self::Hangs => hangs,
            Self::HangsBetween { from, to, .. } if (from..to).contains(&seconds(now)) => hangs,
            Self::HangsBetween { millis, .. } => (taking(millis), Verdict::SUCCESS),
        }
    }
}

fn seconds(now: Moment) -> u64 {
    now.as_micros() / 1_000_000
}

/// A pool, its servers and its callers.
struct Simulation {
    servers: Vec<Server>,
    members: Vec<Arc<Member>>,
    balancer: Balancer,
    ranks: Ranks,
    draws: RandomDraws,
    now: Moment,
    /// The end of each call, the index of its server, and the index of its outcome.
    calls: BinaryHeap<Reverse<(Moment, usize, usize)>>,
    outcomes: Vec<(Call, Verdict)>,
    /// The time of each pick, and the index of its server.
    picks: Vec<(Moment, usize)>,
}

impl Simulation {
    fn new(servers: &[Server]) -> Self {
        Self::weighted(&servers.iter().map(|&server| (server, 1)).collect::<Vec<_>>())
    }

    fn weighted(servers: &[(Server, u16)]) -> Self {
        let (epoch, limit) = (Instant::now(), Arc::<EjectionLimit>::default());
        limit.allow(50, servers.len());
        let member = |(port, &(_, weight)): (u16, &(Server, u16))| {
            let weights = Weights { passing: weight, warning: weight };
            let instance =
                Instance { weights, ..Instance::at("web", Host::from("10.0.0.1"), port) };
            let stats = Arc::new(MemberStats::new(
                epoch,
                Arc::clone(&limit),
                Arc::default(),
                Arc::default(),
                epoch,
            ));
            Arc::new(Member { instance: Arc::new(instance), stats, reserve_until: None })
        };
        let members: Vec<_> = (1..).zip(servers).map(member).collect();
        let balancer = Balancer::new(&PoolOptions::new(), &limit);
        Self {
            servers: servers.iter().map(|server| server.0).collect(),
            ranks: Ranks::new(&balancer, &members),
            balancer,
            members,
            draws: RandomDraws(Rng::with_seed(7)),
            now: Moment::default(),
            calls: BinaryHeap::new(),
            outcomes: Vec::new(),
            picks: Vec::new(),
        }
    }

    /// Calls at random times, with this rate per second, for this number of seconds.
    fn run(mut self, rate: f32, seconds: u64) -> Self {
        let end = self.now.after(Duration::from_secs(seconds));
        while self.now < end {
            let gap = -(1.0 - self.draws.0.f32()).ln() / rate;
            self.now = self.now.after(Duration::from_secs_f32(gap));
            self.end_calls();
            self.call();
        }
        self
    }

    fn call(&mut self) {
        let choice = self
            .ranks
            .pick(
                &mut self.draws,
                self.now,
                Request { probe: Probe::Allowed, ..Request::default() },
            )
            .expect("no member");
        let call = Call { picked: self.now, is_out: choice.is_out };
        choice.member.stats.enter();
        let place = usize::from(choice.member.instance.port) - 1;
        let (takes, verdict) = self.servers[place].answer(self.now, &mut self.draws.0);
        self.calls.push(Reverse((self.now.after(takes), place, self.outcomes.len())));
        self.outcomes.push((call, verdict));
        self.picks.push((self.now, place));
    }

    fn end_calls(&mut self) {
        while let Some(&Reverse((end, place, outcome))) = self.calls.peek()
            && end <= self.now
        {
            self.calls.pop();
            let (call, verdict) = self.outcomes[outcome];
            self.members[place].stats.judge(verdict, call, end, || 0.5);
            self.members[place].stats.leave();
        }
    }

    /// The share of each server in all picks from this second on.
    fn shares_from(&self, second: u64) -> Vec<f32> {
        let mut counts = vec![0.0; self.members.len()];
        let picks = self.picks.iter().filter(|(at, _)| seconds(*at) >= second);
        picks.for_each(|&(_, place)| counts[place] += 1.0);
        let all: f32 = counts.iter().sum();
        counts.iter().map(|count| count / all).collect()
    }

    fn shares(&self) -> Vec<f32> {
        self.shares_from(0)
    }
}

/// These servers, and then this number of others that answer in this number of milliseconds.
fn and(mut first: Vec<Server>, others: usize, millis: u64) -> Vec<Server> {
    first.extend(vec![Server::Answers { millis }; others]);
    first
}

#[test]
fn equal_servers_have_equal_shares_at_low_and_high_load() {
    for (count, rate) in [(2, 5.0), (2, 2000.0), (40, 50.0), (40, 20_000.0)] {
        let shares =
            Simulation::new(&and(vec![], count, 5)).run(rate, 20.max(2000 / rate as u64)).shares();
        let fair = 1.0 / count as f32;
        let off = shares.iter().map(|share| (share / fair - 1.0).abs()).fold(0.0, f32::max);
        assert!(off < if rate < 100.0 { 0.5 } else { 0.1 }, "{count} at {rate}/s: {shares:?}");
    }
}

#[test]
fn shares_follow_the_weights_at_low_and_high_load() {
    for (rate, seconds) in [(20.0, 1000), (200.0, 100), (4000.0, 10)] {
        let servers = [1, 3].map(|weight| (Server::Answers { millis: 5 }, weight));
        let shares = Simulation::weighted(&servers).run(rate, seconds).shares();
        assert!((2.4..3.6).contains(&(shares[1] / shares[0])), "at {rate}/s: {shares:?}");
    }
}

#[test]
fn a_slow_server_gets_few_calls() {
    for others in [1, 3, 9] {
        let servers = and(vec![Server::Answers { millis: 100 }], others, 5);
        let share = Simulation::new(&servers).run(200.0, 60).shares()[0];
        let fair = 1.0 / (others + 1) as f32;
        assert!(share < fair / 8.0, "{share} of {}", others + 1);
    }
}

/// A balancer that counts a fast failure as a fast answer sends nearly all calls to it.
#[test]
fn a_server_that_fails_fast_gets_almost_no_calls() {
    for others in [1, 3, 9] {
        let servers = and(vec![Server::FailsAfter { millis: 1 }], others, 20);
        let share = Simulation::new(&servers).run(200.0, 60).shares()[0];
        assert!(share < 0.005, "{share} of {}", others + 1);
    }
}

#[test]
fn a_server_that_hangs_is_ejected_before_its_second_deadline() {
    for rate in [50.0, 200.0, 1000.0] {
        let servers = [
            Server::HangsBetween { from: 10, to: 1000, millis: 20 },
            Server::Answers { millis: 20 },
        ];
        let run = Simulation::new(&servers).run(rate, 30);
        let stuck = run.picks.iter().filter(|&&(at, place)| place == 0 && seconds(at) >= 10);
        let late = stuck.clone().filter(|(at, _)| seconds(*at) >= 12).count();
        assert!(late <= 5, "{late} calls after two seconds at {rate}/s");
        // Before the first deadline, only the calls in flight limit its share.
        let early = stuck.count() - late;
        assert!((early as f32) < 10.0 + rate / 10.0, "{early} calls at {rate}/s");
    }
}

#[test]
fn one_of_eleven_hanging_for_half_a_minute_fails_one_call_in_a_thousand() {
    let servers = and(vec![Server::HangsBetween { from: 10, to: 40, millis: 5 }], 10, 5);
    let run = Simulation::new(&servers).run(1000.0, 50);
    let stuck =
        run.picks.iter().filter(|&&(at, place)| place == 0 && (10..40).contains(&seconds(at)));
    assert!(stuck.count() < 30, "of 30 000");
}

#[test]
fn a_recovered_server_regains_its_share() {
    for others in [1, 4] {
        let servers = and(vec![Server::HangsBetween { from: 1, to: 10, millis: 5 }], others, 5);
        let run = Simulation::new(&servers).run(200.0, 60);
        let fair = 1.0 / (others + 1) as f32;
        assert!(run.shares_from(30)[0] > fair / 2.0, "{:?}", run.shares_from(30));
    }
}

/// An estimate that decays to zero would attract all calls to a member that was not called for a long time.
#[test]
fn a_server_that_returns_after_a_long_time_is_not_overloaded() {
    let servers =
        [Server::HangsBetween { from: 100, to: 102, millis: 5 }, Server::Answers { millis: 5 }];
    let mut run = Simulation::new(&servers).run(0.01, 99);
    run.members[0].stats.judge(
        Verdict::FAILURE,
        Call { picked: Moment::default(), is_out: false },
        Moment::default(),
        || 0.5,
    );
    run.now = Moment::from_micros(100_000_000);
    let before = run.picks.len();
    let run = run.run(200.0, 1);
    let stuck = run.picks[before..].iter().filter(|(_, place)| *place == 0).count();
    assert!(stuck < 20, "{stuck} of {}", run.picks.len() - before);
}

#[test]
fn a_common_fault_ejects_at_most_half() {
    for count in [1, 2, 3, 5, 10] {
        let run = Simulation::new(&vec![Server::FailsAfter { millis: 2 }; count]).run(500.0, 20);
        let out =
            run.members.iter().filter(|member| member.stats.ejected_until().is_some()).count();
        assert_eq!(out, count / 2, "of {count}");
    }
}

#[test]
fn ejected_servers_are_picked_without_an_alternative_and_recover() {
    let mut run = Simulation::new(&[Server::Hangs, Server::Answers { millis: 5 }]).run(500.0, 5);
    assert!(run.members[0].stats.ejected_until().is_some());
    run.servers[0] = Server::Answers { millis: 5 };
    run.ranks = Ranks::new(&run.balancer, &run.members[..1]);
    run.call();
    run.now = run.now.after(DEADLINE);
    run.end_calls();
    assert_eq!(run.members[0].stats.ejected_until(), None);
}
