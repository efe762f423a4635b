//! `up`: the hello chain on this machine, one process per part.

mod board;
mod chain;
mod child;
mod format;
mod keep;
mod plan;

use std::net::SocketAddr;

use discovery::shutdown_signal;
use program::{Outcome, address};

use super::{agent::Serving, ports::tcp_is_free};
use crate::print::write_stderr;
use chain::Chain;

/// Maximum number of instances of service2.
const SCALE_MAX: usize = 50;

/// Runs the hello chain on this machine: the embedded agent, service1 and two service2
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery up --scale service2=3

Each part is a separate process. A killed process is restarted; a process that shuts down
gracefully is not. Ctrl-C stops all gracefully, the agent last; a second Ctrl-C stops them at once.
No process outlives this command.")]
pub(crate) struct Up {
    /// Number of instances of service2
    #[arg(long, value_name = "service2=N", default_value = "service2=2", value_parser = scale)]
    scale: usize,
    /// Address of service1
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8001", value_parser = address)]
    listen: SocketAddr,
    /// Address of the agent's HTTP API
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8500", value_parser = address)]
    http_listen: SocketAddr,
    /// Address of the agent's DNS, by UDP and TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8600", value_parser = address)]
    dns_listen: SocketAddr,
    /// Print one JSON object per line instead of text
    #[arg(long)]
    json: bool,
}

fn scale(text: &str) -> Result<usize, String> {
    text.strip_prefix("service2=")
        .and_then(|count| count.parse().ok())
        .filter(|count| *count <= SCALE_MAX)
        .ok_or_else(|| format!("expected service2=N, with N of at most {SCALE_MAX}"))
}

impl Up {
    /// The addresses for the agent.
    fn agent(&self) -> Serving {
        Serving { http: self.http_listen, dns: self.dns_listen }
    }

    pub(super) async fn run(self) -> Outcome {
        let mut signals = shutdown_signal();
        tcp_is_free(self.listen, "--listen")?;
        self.agent().is_free()?;
        let mut chain = tokio::select! {
            chain = Chain::start(&self) => chain?,
            signal = signals.next() => return Ok(signal?),
        };
        let outcome = tokio::select! {
            outcome = chain.watch_over() => outcome,
            signal = signals.next() => {
                write_stderr("stopping service1, then service2, then the agent; Ctrl-C again stops them at once");
                Ok(signal?)
            }
        };
        tokio::select! {
            () = chain.end() => outcome,
            signal = signals.next() => {
                signal?;
                Err("a second signal stopped it at once".into())
            }
        }
    }
}
