//! The subcommands, one file each.

mod agent;
mod ambassador;
mod consul;
mod deregister;
mod doctor;
mod explain;
mod ports;
mod register;
mod resolve;
mod run;
mod services;
mod up;
mod watch;

use std::io;

use program::Outcome;

pub(crate) use run::launch;

/// Service discovery on Consul.
#[derive(Debug, clap::Parser)]
#[command(name = "discovery", version, after_help = "Example: discovery up")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Up(up::Up),
    Agent(agent::Agent),
    Ambassador(Box<ambassador::Ambassador>),
    Services(services::Services),
    Resolve(resolve::Resolve),
    Watch(watch::Watch),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    Run(run::Run),
    Register(register::Register),
    Deregister(deregister::Deregister),
}

impl Command {
    /// The log level, if RUST_LOG is not set.
    pub(crate) fn log_level(&self) -> &'static str {
        match self {
            Self::Agent(_) | Self::Ambassador(_) | Self::Run(_) => "info",
            Self::Register(register) => register.log_level(),
            Self::Up(_)
            | Self::Services(_)
            | Self::Resolve(_)
            | Self::Watch(_)
            | Self::Explain(_)
            | Self::Doctor(_)
            | Self::Deregister(_) => "error",
        }
    }

    pub(crate) async fn run(self) -> Outcome {
        let outcome = match self {
            Self::Up(up) => up.run().await,
            Self::Agent(agent) => agent.run().await,
            Self::Ambassador(ambassador) => ambassador.run().await,
            Self::Services(services) => services.run().await,
            Self::Resolve(resolve) => resolve.run().await,
            Self::Watch(watch) => watch.run().await,
            Self::Explain(explain) => explain.run().await,
            Self::Doctor(doctor) => doctor.run().await,
            Self::Run(_) => unreachable!("it has exit codes of its own: see `main`"),
            Self::Register(register) => register.run().await,
            Self::Deregister(deregister) => deregister.run().await,
        };
        outcome.or_else(|err| match err.downcast_ref::<io::Error>() {
            // The reader closed the pipe, as `| head` does.
            Some(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(err),
        })
    }
}
