//! `explain NAME`: why the next call to a service goes where it goes.

use std::net::SocketAddr;

use discovery::Report;
use program::{Outcome, address};

use crate::{
    look::{Admin, Ask},
    print::{json_line, printable_value, write_stdout},
};

/// Explains where the next call to a service goes: its instances, their checks and measurements
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples: discovery explain service2
          discovery explain service2 --admin 127.0.0.1:9001

With --admin the command asks a running program, started with ADMIN or --admin at that address: a
program measures latencies, and ejects instances that fail. Without --admin the command asks Consul
itself: it has no measurements, and shows what a program that has just started knows.

A call goes to the best rank that has an instance: passing, warning, weight 0, ejected, reserve.
By default two instances are drawn by weight, and the one with less load and latency is used.
Exit code 1: no answer, or the next call fails because there is no instance for it.")]
pub(crate) struct Explain {
    /// The service
    name: String,
    /// The admin listener of a running program; unset: ask Consul
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    ask: Ask,
    /// Print one JSON object instead of the page
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) async fn run(self) -> Outcome {
        let Self { name, admin, ask, json } = self;
        let (explained, source) = match admin {
            Some(at) => {
                let admin = Admin::ask(at).await?;
                (admin.explanation(&name)?, format!("Measured by {admin}."))
            }
            None => (ask.consul()?.explain(&name).await?, NOT_MEASURED.to_owned()),
        };
        let report: Report = serde_json::from_value(printable_value(explained.clone()))
            .map_err(|err| format!("this explanation has another format: {err}"))?;
        write_stdout(&if json { json_line(&explained) } else { format!("{report}\n{source}\n") })?;
        if report.has_member() {
            return Ok(());
        }
        Err(format!("the next call to {} fails", report.service()).into())
    }
}

const NOT_MEASURED: &str = "\
Asked by this command, which has no measurements of its own. Those of a running program:
discovery explain NAME --admin IP:PORT";
