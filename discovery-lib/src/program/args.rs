//! The settings that every service has, as clap arguments: flags, and the variables that stand for them.

use std::{net::SocketAddr, time::Duration};

use super::duration;

/// What a service can be told, besides where it listens and what it is called, which have defaults of its own. Flatten it into the
/// program's own arguments; what is about Consul itself comes from CONSUL_* ([`Settings::from_env`](crate::Settings::from_env)).
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct ServiceArgs {
    /// Where others reach it: HOST, HOST:PORT or :PORT; unset: the bound port, on the local address on the route to the agent
    #[arg(long, env = "ADVERTISE", value_name = "ADDRESS")]
    pub advertise: Option<String>,
    /// Its id in Consul; unset: NAME-HOST-PORT
    #[arg(long, env = "SERVICE_ID", value_name = "ID")]
    pub service_id: Option<String>,
    /// How long it goes on serving once told to leave
    #[arg(long, env = "DRAIN", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub drain: Duration,
    /// A second listener with /metrics and /explain; unset: none
    #[arg(long, env = "ADMIN", value_name = "IP:PORT", value_parser = address)]
    pub admin: Option<SocketAddr>,
}

/// An address to listen on: an IP address and a port; port 0 lets the system choose.
///
/// # Errors
/// What would be right, as half a sentence.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "it takes an IP address and a port, like 0.0.0.0:8001 or [::1]:8001")
}
