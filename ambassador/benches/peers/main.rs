//! The ambassador beside HAProxy (TCP and HTTP mode) and nginx (HTTP), with the same backends, interleaved in one run.
//!
//!     cargo bench -p discovery-ambassador --bench peers [-- ROW...]
//!
//! A ROW is a part of a row's name: `"http, one core"`, `bulk`, `memory`. HAProxy and nginx are taken from PATH. Each proxy, and each of the two
//! backends, has its own process; the load is in this one. On *one core* a proxy has one thread and a processor of its own, while the backends
//! and the load have the others. *Free* means two threads, and any processor for all.
//!
//! A rate and a p99 are medians over the rounds, CPU time is that of all rounds. Where a proxy does not use all of its processor (calls per second
//! multiplied by CPU per call), the load or a backend was the limit: then CPU time is what to compare. Memory is that of new processes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and panics when it can't continue"
)]

mod backend;
mod configs;
mod cores;
mod load;
mod process;
mod report;
mod roles;
mod rows;
mod world;

use std::{env, error::Error, process::ExitCode, time::Duration};

use discovery::shutdown_signal;
use program::Usage;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use cores::{Cores, Placement};
use load::Load;
use report::Summary;
use rows::{Kind, Row};
use world::World;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Odd, so that a median is one of them.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(400);
/// Not counted: connections are made, buffers grow.
const WARM_UP: Duration = Duration::from_millis(100);
/// Before idle processes are measured.
const SETTLE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let mut arguments = env::args();
    arguments.next();
    // `cargo bench` adds flags of its own.
    let words: Vec<String> = arguments.filter(|word| !word.starts_with("--")).collect();
    match words.split_first() {
        Some((role, words)) if roles::is_role(role) => roles::play(role, words),
        _ => program::start_with_code("warn", 1, async {
            let mut signals = shutdown_signal();
            // After a signal, too, the processes end and their files are removed.
            let measured = tokio::select! {
                measured = measure(&words) => measured,
                _ = signals.next() => Err("a signal ended it".into()),
            };
            measured.map(|()| 0).map_err(|err| (1, err))
        }),
    }
}

async fn measure(words: &[String]) -> Result<()> {
    let rows = rows::chosen(words).map_err(Usage)?;
    let cores = Cores::of_machine()?;
    raise_open_files()?;
    for version in world::versions()? {
        println!("{version}");
    }
    for placement in Placement::ALL {
        let of_placement = |row: &&Row| row.kind != Kind::Memory && row.placement == placement;
        let mut rows = rows.iter().filter(of_placement).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let world = World::start(&cores, placement).await?;
        for row in rows {
            println!("{row}: {}", compare(&world, row).await?);
        }
    }
    for row in rows.iter().filter(|row| row.kind == Kind::Memory) {
        let world = World::start(&cores, row.placement).await?;
        println!("{row}: {}", memory(&world, row).await?);
    }
    Ok(())
}

/// Each round measures every proxy once, and each round begins with the next one.
async fn compare(world: &World, row: &Row) -> Result<String> {
    let mut runs = Vec::new();
    for proxy in world.proxies(row.protocol) {
        let load = Load::new(proxy.at(row.protocol), row.exchange(), row.lifetime(), row.count);
        runs.push((proxy, load, Summary::default()));
    }
    for (proxy, load, _) in &mut runs {
        load.run(WARM_UP).await.map_err(|err| proxy.failed(&err))?;
    }
    for round in 0..ROUNDS {
        let count = runs.len();
        for number in 0..count {
            let (proxy, load, summary) = &mut runs[(round + number) % count];
            let before = proxy.process.cpu();
            let measured = load.run(ROUND).await.map_err(|err| proxy.failed(&err))?;
            summary.add(&measured, proxy.process.cpu() - before);
        }
    }
    let texts =
        runs.iter().map(|(proxy, _, summary)| format!("{} {}", proxy.name, row.text(summary)));
    Ok(texts.collect::<Vec<_>>().join(" | "))
}

/// Idle processes, and then with connections that were used once.
async fn memory(world: &World, row: &Row) -> Result<String> {
    tokio::time::sleep(SETTLE).await;
    let mut texts = Vec::new();
    for proxy in world.proxies(row.protocol) {
        let idle = proxy.process.memory();
        let mut load = Load::new(proxy.at(row.protocol), row.exchange(), row.lifetime(), row.count);
        load.once().await.map_err(|err| proxy.failed(&err))?;
        tokio::time::sleep(SETTLE).await;
        texts.push(format!("{} {}", proxy.name, report::memory(idle, proxy.process.memory())));
    }
    Ok(texts.join(" | "))
}

/// As many open files as this process may have: its children inherit that.
fn raise_open_files() -> rustix::io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}
