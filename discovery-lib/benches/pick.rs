//! The cost of a pick, its verdict and its end on a warm pool of 40, relative to a baseline: read an `ArcSwap`, clone and drop the `Arc` of a
//! member, and read the clock twice. Interleaved in one run; ratios, not times.
//!
//! `cargo bench -p discovery-lib --bench pick`
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::{hint::black_box, net::SocketAddr, sync::Arc, thread};

use arc_swap::ArcSwap;
use discovery::{Host, Instance, Pool};
use testkit::ratio;
use tokio::time::Instant;

const MEMBERS: u16 = 40;
const ROUNDS: usize = 31;
const CALLS: usize = 200_000;

fn main() {
    let addresses = || (0..MEMBERS).map(|port| SocketAddr::from(([127, 0, 0, 1], 1000 + port)));
    let pool = Pool::fixed("web", addresses());
    let instance =
        |address: SocketAddr| Instance::at("web", Host::Ip(address.ip()), address.port());
    let least: Vec<_> = addresses().map(instance).map(Arc::new).collect();
    let least = ArcSwap::from_pointee(least);
    for (threads, at_most) in [(1, 2.0), (2, 2.5)] {
        let ratio = ratio::interleaved(
            ROUNDS,
            || on_threads(threads, |_| picks(&pool)),
            || on_threads(threads, |thread| least_work(&least, thread)),
        );
        let per_call = |seconds: f64| seconds / CALLS as f64 * 1e9;
        println!(
            "{threads} thread(s): {:.0} ns to {:.0} ns a call; ratio {ratio}; the plan: at most {at_most}",
            per_call(ratio.first),
            per_call(ratio.second),
        );
    }
}

fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn picks(pool: &Pool) {
    for _ in 0..CALLS {
        if let Ok(pick) = pool.pick() {
            black_box(pick.instance());
            pick.succeed();
        }
    }
}

/// The threads begin at different members, so that they rarely contend.
fn least_work(members: &ArcSwap<Vec<Arc<Instance>>>, thread: usize) {
    let mut next = thread * 20;
    for _ in 0..CALLS {
        next = (next + 1) % usize::from(MEMBERS);
        let member = Arc::clone(&members.load()[next]);
        let picked = Instant::now();
        black_box((&member, picked));
        black_box(Instant::now().duration_since(picked));
    }
}
