//! Services, callers, Consul and the network between them in one process, driven by a seed: the machines that ship, without sockets, tasks or
//! a clock.
//!
//! A seed decides the faults, the delays and every random number of the machines, so a failing seed reproduces: its message names the command.
//! What must hold whatever fails is in `invariants`.
//!
//! ```text
//! cargo test -p discovery-lib --lib simulation                                            # what CI runs
//! SIMULATION_SEEDS=100000 cargo test --release -p discovery-lib --lib simulation         # each night
//! SIMULATION_SEED=17 cargo test -p discovery-lib --lib simulation -- --nocapture         # one, with all that happens
//! ```

mod caller;
mod calls;
mod consul;
mod faults;
mod invariants;
mod process;
mod requests;
mod tally;
mod world;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tally::Tally;
use world::World;

/// The seeds of a run without a setting.
const SEEDS: u64 = 2000;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Runs a seed to its end.
fn run(seed: u64, is_traced: bool) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, is_traced).run())).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
        format!("seed {seed}: {text}\n  again: SIMULATION_SEED={seed} cargo test -p discovery-lib --lib simulation -- --nocapture")
    })
}

#[test]
fn whatever_fails_the_invariants_hold() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let tally = run(seed, true).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{tally:?}");
        return;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, failures, total) =
        (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds || failures.lock().unwrap().len() >= 3 {
                return;
            }
            match run(seed, false) {
                Ok(tally) => *total.lock().unwrap() += tally,
                Err(failure) => failures.lock().unwrap().push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:?}");
    // What never happened was not tested.
    total.assert_all_happened();
}

#[test]
fn a_seed_reproduces_a_run() {
    let first = run(7, false).unwrap();
    assert_eq!(run(7, false).unwrap(), first);
    assert_ne!(run(8, false).unwrap(), first);
}
