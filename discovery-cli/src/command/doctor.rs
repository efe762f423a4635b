//! `doctor`: looks for what usually goes wrong around Consul, with a remedy for each.

use std::net::SocketAddr;

use program::{Outcome, address};

use crate::{
    doctor::{as_json, as_text, examine, gather},
    look::Ask,
    print::{Paint, write_stdout},
};

/// Looks for what usually goes wrong with Consul on this machine, and says what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples: discovery doctor
          discovery doctor service1 service2

It looks at settings and proxies, the agent and its leader, ACLs, clocks, open connections, DNS, the
ports of the cluster, and at the registrations of services. It changes nothing, and takes a few
seconds at most.
Exit code 0: no fault; 1: at least one. Hints are no faults: they matter to some programs only.")]
pub(crate) struct Doctor {
    /// Services whose registrations to look at; unset: all, at most 64
    names: Vec<String>,
    #[command(flatten)]
    ask: Ask,
    /// The DNS server of this system; unset: the first of /etc/resolv.conf
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    resolver: Option<SocketAddr>,
    /// Print one JSON object instead of the page
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) async fn run(self) -> Outcome {
        let Self { names, ask, resolver, json } = self;
        let facts = gather(ask, names, resolver).await;
        let findings = examine(&facts);
        let text = if json {
            as_json(&findings, &facts)
        } else {
            as_text(&findings, &facts, Paint::stdout())
        };
        write_stdout(&text)?;
        match findings.iter().filter(|finding| finding.is_fault()).count() {
            0 => Ok(()),
            1 => Err("1 fault found".into()),
            count => Err(format!("{count} faults found").into()),
        }
    }
}
