//! The settings that every service has, as clap arguments: flags, and the variables that stand for them.

use std::{env, io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use super::{duration, listen};
use crate::{Advertise, Error, Registration, Settings};

/// A service's name, in bytes: what a label in DNS can have.
const NAME_MAX: usize = 63;

/// What a service can be told, besides where it listens and what it is called, for which each has a default of its own. Flatten it into the
/// program's arguments. What concerns Consul alone comes from CONSUL_* ([`ServiceArgs::settings`]).
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct ServiceArgs {
    /// Where others reach it: HOST, HOST:PORT or :PORT; unset: the bound port, at the local address on the route to the agent
    #[arg(long, env = "ADVERTISE", value_name = "ADDRESS")]
    pub advertise: Option<Advertise>,
    /// Its id in Consul; unset: NAME-HOST-PORT
    #[arg(long, env = "SERVICE_ID", value_name = "ID")]
    pub service_id: Option<String>,
    /// Consul's DNS: HOST:PORT, HOST or :PORT; unset: port 8600 of the agent's host
    #[arg(long, env = "CONSUL_DNS_ADDR", value_name = "ADDRESS")]
    pub dns_addr: Option<String>,
    /// How long it goes on serving once it is told to leave
    #[arg(long, env = "DRAIN", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub drain: Duration,
    /// A second listener, with /metrics and /explain; unset: none
    #[arg(long, env = "ADMIN", value_name = "IP:PORT", value_parser = address)]
    pub admin: Option<SocketAddr>,
}

impl ServiceArgs {
    /// How to reach Consul: as CONSUL_* say, and `--dns-addr`.
    ///
    /// # Errors
    /// A variable can't be understood.
    pub fn settings(&self) -> Result<Settings, Error> {
        Settings::from_vars(|name| match name {
            "CONSUL_DNS_ADDR" => self.dns_addr.clone(),
            _ => env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        })
    }

    /// What to register for a service of this name that listens at `local`.
    pub fn registration(&self, name: &str, local: SocketAddr) -> Registration {
        let registration =
            Registration::new(name, local).advertise(self.advertise.clone().unwrap_or_default());
        match &self.service_id {
            Some(id) => registration.id(id.as_str()),
            None => registration,
        }
    }

    /// The second listener, where one is asked for.
    ///
    /// # Errors
    /// Nothing can listen there.
    pub async fn admin(&self) -> io::Result<Option<TcpListener>> {
        match self.admin {
            Some(at) => listen(at, "--admin (ADMIN)").await.map(Some),
            None => Ok(None),
        }
    }
}

/// The name of a service, such as can stand in a URL.
///
/// # Errors
/// What would be right, as half a sentence.
pub fn service_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("it takes at most 63 letters, digits, -, _ and .")
    }
}

/// An address to listen on: an IP address and a port; port 0 lets the system choose.
///
/// # Errors
/// What would be right, as half a sentence.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "it takes an IP address and a port, like 0.0.0.0:8001 or [::1]:8001")
}
