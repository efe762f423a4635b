//! The command lines of the processes of `up`. Pure, except for the path of this program.

use std::{env, io, net::SocketAddr, path::PathBuf};

use discovery::registration::near;

use super::{board::AGENT, child::Part};
use crate::command::agent::Serving;

/// Drain of a service. It is short, because callers on the same machine see the shutdown at once.
const DRAIN: &str = "500ms";
/// Log level if RUST_LOG is not set: the terminal is for the output of `up`.
const LOG_LEVEL: &str = "warn";

/// Creates the parts.
#[derive(Debug)]
pub(super) struct Plan {
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Plan {
    pub(super) fn new() -> io::Result<Self> {
        let is_told = env::var_os("RUST_LOG").is_some_and(|value| !value.is_empty());
        let log_level = (!is_told).then(|| ("RUST_LOG", LOG_LEVEL.to_owned()));
        Ok(Self { program: env::current_exe()?, variables: log_level.into_iter().collect() })
    }

    /// The agent, at these addresses.
    pub(super) fn agent(&self, at: Serving) -> Part {
        let (http, dns) = (at.http.to_string(), at.dns.to_string());
        self.part(AGENT, &["agent", "--json", "--http-listen", &http, "--dns-listen", &dns])
    }

    /// `service1` or `service2`, registered at this agent under its name.
    pub(super) fn service(
        &self,
        service: &str,
        name: &str,
        listen: SocketAddr,
        agent: Serving,
    ) -> Part {
        let listen = listen.to_string();
        let arguments = [service, "--listen", &listen, "--service-id", name, "--drain", DRAIN];
        let mut part = self.part(name, &arguments);
        part.variables.push(("CONSUL_HTTP_ADDR", near(agent.http).to_string()));
        part.variables.push(("CONSUL_DNS_ADDR", near(agent.dns).to_string()));
        part
    }

    fn part(&self, name: &str, arguments: &[&str]) -> Part {
        Part {
            name: name.to_owned(),
            program: self.program.clone(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            variables: self.variables.clone(),
        }
    }
}
