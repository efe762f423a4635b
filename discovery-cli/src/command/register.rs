//! `register NAME`: registers something that runs elsewhere, once or for as long as the command runs.

use std::{io, net::Ipv4Addr, str::FromStr};

use discovery::{
    Advertise, Discovery, Error, Host, Registered, Registration, ServiceId,
    registration::{Check, CheckSchedule},
    shutdown_signal,
};
use program::{Outcome, printable, service_name};
use serde_json::json;
use tokio::select;

use super::consul::{Agent, Labels, port, with_hint};
use crate::print::{json_line, write_stdout};

/// Registers a service that runs elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery register web --port 80 --address 10.0.0.7 --check http:/health

It stays registered until `discovery deregister ID`. With --hold, it is kept registered while this
command runs, also across a restart of the agent, and deregistered at the end; without --check it
then has heartbeats from this command, whatever state the service is in. To start and probe a
program, use `discovery run`.
Exit code 1: the agent refused it, or did not answer.")]
pub(crate) struct Register {
    /// The service
    #[arg(value_parser = service_name)]
    name: String,
    /// Its port
    #[arg(long, value_name = "PORT", value_parser = port)]
    port: u16,
    /// Its host; unset: this machine, at the local address on the route to the agent
    #[arg(long, value_name = "HOST", value_parser = host)]
    address: Option<Host>,
    /// Id to register; unset: NAME-HOST-PORT
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    labels: Labels,
    /// Check by the agent, every 5 s: tcp, http:/PATH or grpc; unset: none
    #[arg(long, value_name = "CHECK")]
    check: Option<Polled>,
    /// Keep it registered until Ctrl-C or SIGTERM, then deregister it
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    agent: Agent,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// A check that the agent makes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Polled(Check);

impl FromStr for Polled {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let schedule = CheckSchedule::new();
        match text.split_once(':') {
            None if text == "tcp" => Ok(Self(Check::tcp(schedule))),
            None if text == "grpc" => Ok(Self(Check::grpc("", schedule))),
            Some(("http", path)) if path.starts_with('/') => Ok(Self(Check::http(path, schedule))),
            _ => Err("expected tcp, http:/PATH or grpc"),
        }
    }
}

impl Register {
    pub(super) fn log_level(&self) -> &'static str {
        if self.hold { "warn" } else { "error" }
    }

    pub(super) async fn run(self) -> Outcome {
        let (hold, json) = (self.hold, self.json);
        let (agent, registration) = self.registration();
        let discovery = agent.discovery()?;
        let printer = Printer { agent: discovery.agent().address().to_string(), json };
        if hold {
            return kept(&discovery, registration, &printer).await;
        }
        match discovery.register_once(registration).await {
            Ok(id) => Ok(printer.print("registered", &id)?),
            Err(err) if err.is_setting() => Err(err.into()),
            Err(err) => Err(with_hint(&err).into()),
        }
    }

    fn registration(self) -> (Agent, Registration) {
        let Self { name, port, address, id, labels, check, hold, agent, json: _ } = self;
        let id = id.or_else(|| address.as_ref().map(|host| format!("{name}-{host}-{port}")));
        let unchecked = if hold { Check::Ttl } else { Check::None };
        let registration = Registration::new(name, (Ipv4Addr::UNSPECIFIED, port).into())
            .advertise(Advertise { host: address, port: None })
            .check(check.map_or(unchecked, |Polled(check)| check));
        let registration = labels.label(registration);
        (agent, id.into_iter().fold(registration, Registration::id))
    }
}

/// Keeps it registered until a signal.
async fn kept(discovery: &Discovery, registration: Registration, printer: &Printer) -> Outcome {
    let mut signals = shutdown_signal();
    // It runs elsewhere, perhaps not yet: its check alone decides.
    let registration = registration.probe(async || Ok::<_, Error>(()));
    let mut registered = discovery.register(registration)?;
    let ended = select! {
        signal = signals.next() => signal.map_err(Into::into),
        failed = held(&mut registered, printer) => failed,
    };
    let id = registered.id().clone();
    registered.leave().await;
    ended?;
    Ok(printer.print("deregistered", &id)?)
}

/// Ends only with a failure.
async fn held(registered: &mut Registered, printer: &Printer) -> Outcome {
    registered.ready().await.map_err(|err| with_hint(&err))?;
    printer.print("registered", registered.id())?;
    while registered.changed().await.is_some() {}
    Err(format!("{} is no longer kept: another run registered under its id", registered.id())
        .into())
}

/// Prints what was done.
struct Printer {
    agent: String,
    json: bool,
}

impl Printer {
    fn print(&self, what: &str, id: &ServiceId) -> io::Result<()> {
        let Self { agent, json } = self;
        write_stdout(&if *json {
            json_line(&json!({ "what": what, "id": id.as_str(), "agent": agent }))
        } else {
            format!("{what} {} at the agent {agent}\n", printable(id.as_str()))
        })
    }
}

fn host(text: &str) -> Result<Host, String> {
    match text.parse::<Advertise>() {
        Ok(Advertise { host: Some(host), port: None }) => Ok(host),
        Ok(_) => Err("expected a host without a port, like 10.0.0.7 or web.example".to_owned()),
        Err(err) => Err(err.to_string()),
    }
}
