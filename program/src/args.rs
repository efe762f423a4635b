//! The settings common to all services, as clap arguments: flags and environment variables.

use std::{env, io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

use discovery::{Advertise, Error, Registration, Settings};

use super::{duration, listen};

/// The longest service name, in bytes: the limit of a DNS label.
const NAME_MAX: usize = 63;

/// Settings of a service, except its listen address and its name, whose defaults differ per service. Flatten it into the program's
/// arguments. Settings of the Consul client come from CONSUL_* ([`ServiceArgs::settings`]).
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct ServiceArgs {
    /// Address to publish in Consul: HOST, HOST:PORT or :PORT; unset: the bound port, at the local address on the route to the agent
    #[arg(long, env = "ADVERTISE", value_name = "ADDRESS")]
    pub advertise: Option<Advertise>,
    /// Id to register in Consul; unset: NAME-HOST-PORT
    #[arg(long, env = "SERVICE_ID", value_name = "ID")]
    pub service_id: Option<String>,
    /// Address of Consul's DNS: HOST:PORT, HOST or :PORT; unset: port 8600 of the agent's host
    #[arg(long, env = "CONSUL_DNS_ADDR", value_name = "ADDRESS")]
    pub dns_addr: Option<String>,
    /// Time to keep serving after a shutdown signal
    #[arg(long, env = "DRAIN", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub drain: Duration,
    /// Address of a separate listener for /metrics and /explain; unset: none
    #[arg(long, env = "ADMIN", value_name = "IP:PORT", value_parser = address)]
    pub admin: Option<SocketAddr>,
}

impl ServiceArgs {
    /// The settings of the Consul client, from CONSUL_* and `--dns-addr`.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn settings(&self) -> Result<Settings, Error> {
        Settings::from_vars(|name| match name {
            "CONSUL_DNS_ADDR" => self.dns_addr.clone(),
            _ => env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        })
    }

    /// The registration of a service with this name that listens on `local`.
    pub fn registration(&self, name: &str, local: SocketAddr) -> Registration {
        let registration =
            Registration::new(name, local).advertise(self.advertise.clone().unwrap_or_default());
        match &self.service_id {
            Some(id) => registration.id(id.as_str()),
            None => registration,
        }
    }

    /// The listener for `--admin`, if set.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn admin(&self) -> io::Result<Option<TcpListener>> {
        match self.admin {
            Some(at) => listen(at, "--admin (ADMIN)").await.map(Some),
            None => Ok(None),
        }
    }
}

/// Parses the name of a service: 1 to 63 letters, digits, `-`, `_` and `.`, so that it can be the host of a URL.
///
/// # Errors
/// The accepted format, as a lowercase fragment.
pub fn service_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 63 letters, digits, -, _ and .")
    }
}

/// Parses a listen address: an IP address and a port. With port 0 the system chooses a free port.
///
/// # Errors
/// The accepted format, as a lowercase fragment.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001")
}
