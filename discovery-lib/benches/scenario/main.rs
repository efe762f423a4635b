//! Prints the share of calls that succeed within 1 s while one of eleven instances is bad for half a minute, for each policy, with ejection and
//! without it, beside the published figures of Linkerd. Simulated: the same figures each time.
//!
//! `cargo bench -p discovery-lib --bench scenario`
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench prints and panics")]

mod model;

use model::{Case, Fault, success_percent};
use tokio::runtime::Builder;

const SEED: u64 = 1;

fn main() {
    println!("Linkerd (2016), stuck: round robin 95 %, least loaded 99 %, peak EWMA 99.9 %\n");
    for (title, is_ejecting) in [("without ejection", false), ("with ejection", true)] {
        print!("{title:<20}");
        Fault::ALL.iter().for_each(|fault| print!(" {:>13}", format!("{fault:?}")));
        println!();
        for case in Case::all() {
            let case = if is_ejecting { case } else { case.without_ejection() };
            print!("{:<20}", case.name);
            Fault::ALL.iter().for_each(|fault| print!(" {:>11.2} %", simulated(*fault, &case)));
            println!();
        }
        println!();
    }
}

fn simulated(fault: Fault, case: &Case) -> f64 {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(success_percent(fault, case, SEED))
}
