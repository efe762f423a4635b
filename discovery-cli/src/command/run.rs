//! `run NAME -- CMD`: runs a program that knows nothing of Consul as a registered service.

use std::{
    env,
    error::Error,
    ffi::OsString,
    io,
    net::SocketAddr,
    path::Path,
    process::{self, ExitCode},
    time::Duration,
};

use discovery::{Advertise, Registration};
use program::{Coded, duration, service_name};
use runner::{LAUNCH, Plan, Readiness, Service};

use super::consul::{Agent, Labels, listening};

/// The exit code of a failure that is not one of the program.
const OWN_FAILURE: u8 = 125;
/// The exit code for an invalid setting.
const USAGE: u8 = 2;
/// This executable, also after it was replaced by a newer one.
const SELF: &str = "/proc/self/exe";

/// Runs a program as a registered service: registers it when it is ready, deregisters it before it stops
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery run redis --port 6379 --ready 'exec:redis-cli ping' -- redis-server

The instance is passing only while probes succeed: one every 5 s, with a deadline of 4 s. A failed
probe makes it critical at once, and then one probe per second can bring it back.

SIGTERM, SIGINT and Ctrl-C: the instance is put into maintenance and deregistered while the
program serves on for --drain, then the program gets the signal. A second one ends the wait. HUP,
QUIT, USR1, USR2, ALRM, WINCH, PWR, TSTP and CONT are passed on as they are. If the program ends
by itself, it is deregistered at once; it is not restarted. If this command is killed, the program
gets SIGTERM, and the instance is critical after 15 s and removed a minute later.

The program inherits the environment except CONSUL_*, ADVERTISE, SERVICE_ID, DRAIN, RUST_LOG and
LOG_FORMAT; set them for it with `-- env NAME=VALUE CMD`. It must stay in the foreground.

Exit code: that of the program, 128+N if signal N ended it; 125 if this command failed, 126 if the
program can't be executed, 127 if it was not found; 2 for wrong usage.")]
pub(crate) struct Run {
    /// The service
    #[arg(value_parser = service_name)]
    name: String,
    /// Port on which the program listens, with an address if it listens on one only
    #[arg(long, value_name = "[IP:]PORT", value_parser = listening)]
    port: SocketAddr,
    /// Probe: tcp (accepts connections), http:/PATH (returns 2xx or 3xx) or exec:CMD (exits with 0)
    #[arg(long, value_name = "PROBE", default_value = "tcp")]
    ready: Readiness,
    /// Another service of the program: NAME:PORT or NAME:PORT=PROBE; may be repeated
    #[arg(long = "service", value_name = "NAME:PORT", value_parser = another)]
    others: Vec<Another>,
    #[command(flatten)]
    labels: Labels,
    /// Address to publish in Consul: HOST, HOST:PORT or :PORT; unset: the port, at the local address on the route to the agent
    #[arg(long, env = "ADVERTISE", value_name = "ADDRESS")]
    advertise: Option<Advertise>,
    /// Id to register in Consul; unset: NAME-HOST-PORT
    #[arg(long, env = "SERVICE_ID", value_name = "ID")]
    service_id: Option<String>,
    /// Time from SIGTERM or SIGINT until the program gets it
    #[arg(long, env = "DRAIN", value_name = "TIME", default_value = "2s", value_parser = duration)]
    drain: Duration,
    #[command(flatten)]
    agent: Agent,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// A service beside the first.
#[derive(Debug, Clone)]
struct Another {
    name: String,
    listens: SocketAddr,
    ready: Readiness,
}

impl Run {
    pub(crate) fn start(self) -> ExitCode {
        program::start_with_code("info", OWN_FAILURE, self.run())
    }

    async fn run(self) -> Coded {
        let usage = |err: Box<dyn Error + Send + Sync>| (USAGE, err);
        self.check().map_err(|text| usage(text.into()))?;
        let (agent, plan) = self.plan();
        let discovery = agent.discovery().map_err(|err| usage(err.into()))?;
        runner::run(&discovery, plan).await.map_err(|err| (err.exit_code(), err.into()))
    }

    /// What belongs to one service can't be given to several.
    fn check(&self) -> Result<(), String> {
        if self.others.is_empty() {
            return Ok(());
        }
        let has_port = self.advertise.as_ref().is_some_and(|it| it.port.is_some());
        if has_port {
            return Err("--advertise (ADVERTISE) has a port: with --service it takes a host only, for all services".to_owned());
        }
        if self.service_id.is_some() {
            return Err(
                "--service-id (SERVICE_ID) is for one service: it can't be used with --service"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn plan(self) -> (Agent, Plan) {
        let Self {
            name,
            port,
            ready,
            others,
            labels,
            advertise,
            service_id,
            drain,
            agent,
            command,
        } = self;
        let advertise = advertise.unwrap_or_default();
        let service = |Another { name, listens, ready }| {
            let registration = Registration::new(name, listens).advertise(advertise.clone());
            Service { registration: labels.label(registration), readiness: ready }
        };
        let mut first = service(Another { name, listens: port, ready });
        if let Some(id) = service_id {
            first.registration = first.registration.id(id);
        }
        let services = [first].into_iter().chain(others.into_iter().map(service)).collect();
        let plan = Plan { command, hidden: settings(), services, drain, launcher: launcher() };
        (agent, plan)
    }
}

/// This executable, as a step before the program. Without /proc there is none: then the program outlives a wrapper that is killed.
fn launcher() -> Vec<OsString> {
    if !cfg!(target_os = "linux") || !Path::new(SELF).exists() {
        return Vec::new();
    }
    vec![SELF.into(), LAUNCH.into(), process::id().to_string().into()]
}

/// That step: `PARENT CMD ARG...`.
pub(crate) fn launch(arguments: &[OsString]) -> ExitCode {
    let parent = arguments.first().and_then(|it| it.to_str()?.parse().ok());
    let Some(parent) = parent else {
        let err = io::Error::other(format!("{LAUNCH} is not for use by hand: see `discovery run`"));
        return program::failed(&err, USAGE);
    };
    match runner::launch(parent, &arguments[1..]) {
        Err(err) => program::failed(&err, err.exit_code()),
    }
}

/// The variables of the environment that are settings of this command.
fn settings() -> Vec<OsString> {
    let own = ["ADVERTISE", "SERVICE_ID", "DRAIN", "RUST_LOG", "LOG_FORMAT"];
    let is_own = |name: &str| own.contains(&name) || name.starts_with("CONSUL_");
    env::vars_os().map(|(name, _)| name).filter(|name| is_own(&name.to_string_lossy())).collect()
}

fn another(text: &str) -> Result<Another, String> {
    let (service, ready) = match text.split_once('=') {
        Some((service, ready)) => (service, ready.parse().map_err(|err| format!("{err} after ="))?),
        None => (text, Readiness::default()),
    };
    let (name, listens) = service.split_once(':').ok_or("expected NAME:PORT or NAME:PORT=PROBE")?;
    Ok(Another { name: service_name(name)?, listens: listening(listens)?, ready })
}
