//! `agent`: only the embedded agent, for one machine.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use discovery::shutdown_signal;
use discovery_agent::{Agent as Embedded, Builder};
use program::{Outcome, address};

use super::ports::{tcp_is_free, udp_is_free};
use crate::print::write_stdout;

/// Runs the embedded agent alone: Consul's HTTP API and DNS for this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery agent --data-dir ./agent

For development and tests. On more than one machine, run Consul itself, and set CONSUL_HTTP_ADDR to
its address: programs need no other change.")]
pub(crate) struct Agent {
    /// Address to serve Consul's HTTP API on
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8500", value_parser = address)]
    http_listen: SocketAddr,
    /// Address to serve Consul's DNS on, by UDP and TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8600", value_parser = address)]
    dns_listen: SocketAddr,
    /// Directory to keep the catalog in; unset: in memory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Host name to answer HTTP requests for, besides IP addresses and localhost; may be repeated
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    allow_host: Vec<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The addresses of an agent, as printed by `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Serving {
    pub(super) http: SocketAddr,
    pub(super) dns: SocketAddr,
}

impl Serving {
    /// Checks that the addresses are free.
    ///
    /// # Errors
    /// One is in use; the error has the flag that chooses another address.
    pub(super) fn is_free(self) -> io::Result<()> {
        tcp_is_free(self.http, "--http-listen")?;
        tcp_is_free(self.dns, "--dns-listen")?;
        udp_is_free(self.dns, "--dns-listen")
    }
}

impl Agent {
    pub(super) async fn run(self) -> Outcome {
        let mut signals = shutdown_signal();
        let Self { http_listen, dns_listen, data_dir, allow_host, json } = self;
        Serving { http: http_listen, dns: dns_listen }.is_free()?;
        let agent = Embedded::builder().http_listen(http_listen).dns_listen(dns_listen);
        let agent = allow_host.into_iter().fold(agent, Builder::allow_host);
        let agent = match &data_dir {
            Some(dir) => agent.data_dir(dir).start().await?,
            None => agent.start().await?,
        };
        let serving = Serving { http: agent.http_addr(), dns: agent.dns_addr() };
        write_stdout(&if json {
            as_json(serving)?
        } else {
            as_text(serving, data_dir.as_deref())
        })?;
        tokio::select! {
            signal = signals.next() => signal?,
            err = agent.failed() => return Err(err.into()),
        };
        agent.stop().await;
        Ok(())
    }
}

/// Compares only the host, not the port.
fn host_name(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(is_part) {
        return Err("expected a host name without a port, like consul".to_owned());
    }
    Ok(text.to_owned())
}

fn as_json(serving: Serving) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&serving)? + "\n")
}

fn as_text(Serving { http, dns }: Serving, data_dir: Option<&Path>) -> String {
    let data = data_dir
        .map_or("in memory, lost when this command exits".into(), |dir| dir.display().to_string());
    format!(
        "The embedded agent, for this machine; for more than one machine, run Consul.\n  \
         http  {http}\n  dns   {dns}\n  data  {data}\n\
         Set CONSUL_HTTP_ADDR={http} and CONSUL_DNS_ADDR={dns} in programs. Ctrl-C stops it.\n"
    )
}
