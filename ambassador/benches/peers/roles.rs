//! What the executable of the bench is when it starts itself: a proxy, a backend, or what starts another program.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use crate::{Result, backend, configs::CONNECTIONS_MAX, process};
use ambassador::{Ambassador, Changes, Config};
use discovery::{Discovery, Settings, agent::AgentSettings, shutdown_signal};

/// For the connections of a load that has ended.
const DRAIN: Duration = Duration::from_secs(1);

pub(crate) const RUN: &str = "role=run";
pub(crate) const AMBASSADOR: &str = "role=ambassador";
pub(crate) const BACKEND: &str = "role=backend";

pub(crate) fn is_role(word: &str) -> bool {
    [RUN, AMBASSADOR, BACKEND].contains(&word)
}

pub(crate) fn play(role: &str, words: &[String]) -> ExitCode {
    match role {
        RUN => process::run(words),
        AMBASSADOR => program::start("warn", ambassador(words)),
        _ => program::start_with_code("warn", 1, async {
            backend::serve(words[0].parse().unwrap()).await.map(|()| 0).map_err(|err| (1, err))
        }),
    }
}

/// `discovery ambassador`, with instances that are known from the start: THREADS INSTANCES ROUTE...
async fn ambassador(words: &[String]) -> Result<()> {
    let [threads, instances, routes @ ..] = words else { panic!("{words:?}") };
    let signals = shutdown_signal();
    let mut config =
        Config::new(routes.iter().map(|it| it.parse()).collect::<std::result::Result<_, _>>()?)?;
    config.connections_max = CONNECTIONS_MAX;
    // Fixed instances need no agent.
    let nowhere = AgentSettings::new(SocketAddr::from(([127, 0, 0, 1], 1)));
    let discovery = Discovery::new(Settings::new(nowhere).source(instances.parse()?))?;
    let ambassador = Ambassador::start(&config, discovery, threads.parse()?)?;
    Ok(ambassador.serve_until(signals, DRAIN, None, Changes::default()).await?)
}
