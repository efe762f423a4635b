//! Eleven instances, 1,000 calls per second, a minute, one bad instance: which share of the calls succeeds within 1 s. Without sockets and on a
//! paused clock, so that a seed gives the same result each time.
//!
//! The first case is that of Linkerd's comparison of balancers ("Beyond Round Robin: Load Balancing for Latency", 2016): one instance takes 2 s
//! for half a minute. Its figures: round robin 95 %, least loaded 99 %, peak EWMA 99.9 %.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use discovery::{
    ConsistentHash, Host, InFlight, Instance, LeastInFlight, Locality, Origin, PeakEwma, Pick,
    PickOptions, Pool, PoolOptions, Random, RoundRobin, Snapshot, UniformRandom, Verdict, Watched,
    WeightedRandom,
};
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, advance},
};

const INSTANCES: u16 = 11;
const CALLS_PER_SECOND: f64 = 1000.0;
const MINUTE: Duration = Duration::from_secs(60);
/// Keys of the calls, for the policies that use one.
const KEYS: f64 = 1000.0;

/// The bad half minute, or the age at which the new instance has come.
const BAD_FROM: Duration = Duration::from_secs(10);
const BAD_TO: Duration = Duration::from_secs(40);

/// The deadline of a try and the success that is counted.
const DEADLINE: Duration = Duration::from_secs(1);
/// The time without a byte after which a body is given up.
const STALL: Duration = Duration::from_secs(2);

/// What the first instance does in the bad half minute. At other times, and for the other ten, an answer takes 5 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It takes 2 s.
    Stuck,
    /// It fails after 1 ms.
    FailsAtOnce,
    /// It is new at the beginning of that time. An answer takes 2 s at first, and as long as others after 20 s.
    NewAndCold,
    /// The head of its answer comes in time, its body doesn't.
    StallsBodies,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] =
        [Self::Stuck, Self::FailsAtOnce, Self::NewAndCold, Self::StallsBodies];

    /// How an answer of the first instance comes, at this time.
    fn answer(self, now: Duration, usual: Duration) -> Answer {
        let good = |takes| Answer { takes, result: Result::Good };
        if !(BAD_FROM..BAD_TO).contains(&now) {
            return good(usual);
        }
        match self {
            Self::Stuck => good(Duration::from_secs(2)),
            Self::FailsAtOnce => Answer { takes: Duration::from_millis(1), result: Result::Fails },
            Self::NewAndCold => {
                let cold = 1.0 - (now - BAD_FROM).as_secs_f64() / 20.0;
                good(usual + Duration::from_secs(2).mul_f64(cold.max(0.0)))
            }
            Self::StallsBodies => Answer { takes: usual, result: Result::Stalls },
        }
    }
}

/// A policy, and whether its picks have a key.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) options: PoolOptions,
    pub(crate) is_keyed: bool,
}

impl Case {
    /// All policies, with their default settings.
    pub(crate) fn all() -> Vec<Self> {
        let case = |name, options| Self { name, options, is_keyed: false };
        let new = PoolOptions::new;
        vec![
            case("default", new()),
            case("PeakEwma", new().policy(PeakEwma)),
            case("LeastInFlight", new().policy(LeastInFlight::new())),
            case("RoundRobin", new().policy(RoundRobin)),
            case("UniformRandom", new().policy(UniformRandom)),
            case("WeightedRandom", new().policy(WeightedRandom)),
            Self { is_keyed: true, ..case("default, with a key", new()) },
            Self { is_keyed: true, ..case("ConsistentHash", new().policy(ConsistentHash::new())) },
            case("Locality", new().policy(Locality::new().zone("zone", "a"))),
        ]
    }

    /// Without ejection, so that the policy alone avoids the bad instance.
    pub(crate) fn without_ejection(self) -> Self {
        Self { options: self.options.ejected_max(0), ..self }
    }
}

/// When the head of an answer comes, and what comes of it.
#[derive(Debug, Clone, Copy)]
struct Answer {
    takes: Duration,
    result: Result,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Result {
    Good,
    Fails,
    Stalls,
}

/// What happens to a call at the time of its event.
enum Event {
    Head(Pick, Verdict, Option<Duration>),
    Stalled(InFlight),
}

/// The share of the calls of a minute that succeeded within 1 s, in percent. Needs a runtime with a paused clock.
pub(crate) async fn success_percent(fault: Fault, case: &Case, seed: u64) -> f64 {
    let mut run = Run::new(fault, case, seed).await;
    while run.started.elapsed() < MINUTE {
        run.step().await;
    }
    run.succeeded as f64 / run.calls as f64 * 100.0
}

struct Run {
    fault: Fault,
    is_keyed: bool,
    started: Instant,
    pool: Pool,
    answers: watch::Sender<Watched>,
    draws: Random,
    events: BTreeMap<u64, Event>,
    /// The time of each event, and its number.
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    calls: u64,
    succeeded: u64,
}

impl Run {
    async fn new(fault: Fault, case: &Case, seed: u64) -> Self {
        let (answers, watched) = watch::channel(Watched::default());
        let draws = Random::seeded(seed);
        let options = case.options.clone().random(draws.fork());
        let pool = Pool::from_watch_with("web", watched, options).expect("the options are valid");
        let started = Instant::now();
        let (events, times) = (BTreeMap::new(), BinaryHeap::new());
        let is_keyed = case.is_keyed;
        let run = Self {
            fault,
            is_keyed,
            started,
            pool,
            answers,
            draws,
            events,
            times,
            calls: 0,
            succeeded: 0,
        };
        run.publish(u16::from(fault == Fault::NewAndCold)).await;
        run
    }

    /// Publishes the instances without the first few.
    async fn publish(&self, without: u16) {
        let instances = (without..INSTANCES).map(instance).map(Arc::new);
        let snapshot = Snapshot::new(instances, Origin::Fixed, Instant::now());
        self.answers.send_replace(snapshot.into());
        let expected = usize::from(INSTANCES - without);
        while self.pool.explain().instances.len() != expected {
            yield_now().await;
        }
    }

    /// One call, and the events up to it.
    async fn step(&mut self) {
        let gap = -(1.0 - self.draws.f64()).ln() / CALLS_PER_SECOND;
        let next = Instant::now() + Duration::from_secs_f64(gap);
        let joins = self.started + BAD_FROM;
        if self.fault == Fault::NewAndCold && Instant::now() < joins && next >= joins {
            self.publish(0).await;
        }
        while let Some(&Reverse((at, number))) = self.times.peek()
            && at <= next
        {
            self.times.pop();
            advance(at.saturating_duration_since(Instant::now())).await;
            self.happen(number);
        }
        advance(next.saturating_duration_since(Instant::now())).await;
        self.call();
    }

    fn call(&mut self) {
        let key = (self.draws.f64() * KEYS) as u64;
        let options = PickOptions::new().repeatable();
        let options = if self.is_keyed { options.key(key) } else { options };
        let pick = self.pool.pick_with(options).expect("a pool of good instances is never empty");
        let usual = Duration::from_millis(5).mul_f64(0.5 + self.draws.f64());
        let answer = if pick.instance().port == instance(0).port {
            self.fault.answer(self.started.elapsed(), usual)
        } else {
            Answer { takes: usual, result: Result::Good }
        };
        self.calls += 1;
        let (takes, verdict, stall) = match answer.result {
            _ if answer.takes > DEADLINE => (DEADLINE, Verdict::FAILURE, None),
            Result::Good => (answer.takes, Verdict::SUCCESS, None),
            Result::Fails => (answer.takes, Verdict::FAILURE, None),
            Result::Stalls => (answer.takes, Verdict::ANSWERED, Some(STALL)),
        };
        self.succeeded += u64::from(verdict == Verdict::SUCCESS);
        self.happens_in(takes, Event::Head(pick, verdict, stall));
    }

    fn happens_in(&mut self, wait: Duration, event: Event) {
        let number = self.draws.u64();
        self.events.insert(number, event);
        self.times.push(Reverse((Instant::now() + wait, number)));
    }

    fn happen(&mut self, number: u64) {
        match self.events.remove(&number) {
            Some(Event::Head(pick, verdict, stall)) => {
                let in_flight = pick.judge(verdict);
                if let Some(stall) = stall {
                    self.happens_in(stall, Event::Stalled(in_flight));
                }
            }
            Some(Event::Stalled(mut in_flight)) => in_flight.judge(Verdict::FAILURE),
            None => {}
        }
    }
}

/// The first four are in the zone "a", the others in "b".
fn instance(number: u16) -> Instance {
    let mut instance = Instance::at("web", Host::from("10.0.0.1"), 8000 + number);
    let zone = if number < 4 { "a" } else { "b" };
    instance.node_meta = Arc::new(BTreeMap::from([("zone".to_owned(), zone.to_owned())]));
    instance
}
