//! The cost of a pick, its verdict and its end on a warm pool, relative to a baseline: read an `ArcSwap`, clone and drop the `Arc` of a
//! member, and read the clock twice. For each policy, by the number of instances and of threads. Interleaved in one run; ratios, not times.
//!
//! `cargo bench -p discovery-lib --bench pick`, or with one policy: `-- RoundRobin`. `-- count POLICY INSTANCES PICKS` only picks, for callgrind.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::{hint::black_box, net::SocketAddr, sync::Arc, thread};

use arc_swap::ArcSwap;
use discovery::{
    ConsistentHash, Host, Instance, LeastInFlight, Locality, PeakEwma, PickOptions, Pool,
    PoolOptions, RoundRobin, UniformRandom, WeightedRandom,
};
use testkit::ratio;
use tokio::time::Instant;

const SIZES: [u16; 3] = [3, 40, 1500];
/// The aim for the default policy, per number of threads.
const THREADS: [(usize, f64); 2] = [(1, 1.3), (2, 1.5)];
const ROUNDS: usize = 31;
const CALLS: usize = 50_000;

/// A policy, and whether its picks have a key.
struct Case {
    name: &'static str,
    options: PoolOptions,
    is_keyed: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, options| Case { name, options, is_keyed: false };
    vec![
        case("default", PoolOptions::new()),
        case("PeakEwma", PoolOptions::new().policy(PeakEwma)),
        case("LeastInFlight", PoolOptions::new().policy(LeastInFlight::new())),
        case("RoundRobin", PoolOptions::new().policy(RoundRobin)),
        case("UniformRandom", PoolOptions::new().policy(UniformRandom)),
        case("WeightedRandom", PoolOptions::new().policy(WeightedRandom)),
        case("Locality", PoolOptions::new().policy(Locality::new().datacenter("dc1"))),
        Case { is_keyed: true, ..case("default, with a key", PoolOptions::new()) },
        Case {
            is_keyed: true,
            ..case("ConsistentHash", PoolOptions::new().policy(ConsistentHash::new()))
        },
    ]
}

fn main() -> Result<(), discovery::Error> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    if let [mode, policy, instances, picks] = &arguments[..]
        && mode == "count"
    {
        return count(policy, instances.parse().unwrap_or(40), picks.parse().unwrap_or(CALLS));
    }
    let is_asked = |case: &Case| arguments.first().is_none_or(|name| case.name.contains(name));
    for case in cases().into_iter().filter(is_asked) {
        for size in SIZES {
            let pool = Pool::fixed_with("web", addresses(size), case.options.clone())?;
            compare(&case, &pool, size);
        }
    }
    Ok(())
}

/// Only picks, so that a profiler counts nothing else.
fn count(policy: &str, size: u16, picks: usize) -> Result<(), discovery::Error> {
    if policy == "baseline" {
        least_work(&baseline(size), 0, picks);
        return Ok(());
    }
    for case in cases().into_iter().filter(|case| case.name == policy) {
        let pool = Pool::fixed_with("web", addresses(size), case.options.clone())?;
        pick(&case, &pool, picks);
    }
    Ok(())
}

fn compare(case: &Case, pool: &Pool, size: u16) {
    let least = baseline(size);
    // A keyed pick reads all instances.
    let calls = if case.is_keyed && size > 100 { CALLS / 50 } else { CALLS };
    for (threads, aim) in THREADS {
        let ratio = ratio::interleaved(
            ROUNDS,
            || on_threads(threads, |_| pick(case, pool, calls)),
            || on_threads(threads, |thread| least_work(&least, thread, calls)),
        );
        let per_call = |seconds: f64| seconds / calls as f64 * 1e9;
        println!(
            "{:<28} {size:>4} instances, {threads} thread(s): {:>5.0} ns to {:>3.0} ns; ratio {:.2} ({:.2} to {:.2}); aim {aim}",
            case.name,
            per_call(ratio.first),
            per_call(ratio.second),
            ratio.median,
            ratio.min,
            ratio.max,
        );
    }
}

fn addresses(size: u16) -> impl Iterator<Item = SocketAddr> {
    (0..size).map(|port| SocketAddr::from(([127, 0, 0, 1], 1000 + port)))
}

fn baseline(size: u16) -> ArcSwap<Vec<Arc<Instance>>> {
    let instance =
        |address: SocketAddr| Instance::at("web", Host::Ip(address.ip()), address.port());
    ArcSwap::from_pointee(addresses(size).map(instance).map(Arc::new).collect())
}

fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn pick(case: &Case, pool: &Pool, calls: usize) {
    for call in 0..calls {
        let options = PickOptions::new();
        let options = if case.is_keyed { options.key(call as u64) } else { options };
        if let Ok(pick) = pool.pick_with(options) {
            black_box(pick.instance());
            pick.succeed();
        }
    }
}

/// The threads begin at different members, so that they rarely contend.
fn least_work(members: &ArcSwap<Vec<Arc<Instance>>>, thread: usize, calls: usize) {
    let count = members.load().len();
    let mut next = thread * count / 2;
    for _ in 0..calls {
        next = if next + 1 < count { next + 1 } else { 0 };
        let member = Arc::clone(&members.load()[next]);
        let picked = Instant::now();
        black_box((&member, picked));
        black_box(Instant::now().duration_since(picked));
    }
}
