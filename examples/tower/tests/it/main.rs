//! Calls on the embedded agent, with real connections.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod layers;
mod lines;

use std::{net::Ipv4Addr, time::Duration};

use discovery::{Discovery, Settings, agent::AgentSettings};
use discovery_agent::Agent;
use tokio::net::TcpListener;

/// A timeout that no test waits for.
const LONG: Duration = Duration::from_secs(60);

async fn start() -> (Agent, Discovery) {
    let agent = Agent::start().await.unwrap();
    let settings = Settings::new(AgentSettings::new(agent.http_addr())).dns(agent.dns_addr());
    (agent, Discovery::new(settings).unwrap())
}

async fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}
