//! service1: returns the two ends of its connection, followed by the answer of service2. The first hop of the hello chain, and an example of a
//! call by service name.

mod relay;

use std::{ffi::OsString, net::SocketAddr, process::ExitCode};

use clap::{CommandFactory, Parser};
use discovery::{Discovery, Source, serve::Server, shutdown_signal};
use program::{Outcome, ServiceArgs};

use relay::Relay;

/// The first hop of the hello chain: registers in Consul, and calls service2 by its name
#[derive(Debug, Parser)]
#[command(
    name = "service1",
    version,
    after_help = "Example: CONSUL_HTTP_ADDR=127.0.0.1:8500 RESOLVE=dns service1 --listen 127.0.0.1:0"
)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks the health of the running service: exit code 0 or 1
    Health,
}

/// Its settings.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Address to listen on; with port 0 the system chooses a port
    #[arg(long, env = "LISTEN", value_name = "IP:PORT", default_value = "0.0.0.0:8001", value_parser = program::address)]
    pub listen: SocketAddr,
    /// Name to register in Consul
    #[arg(long, env = "SERVICE_NAME", value_name = "NAME", default_value = "service1", value_parser = program::service_name)]
    pub service_name: String,
    /// Name of the service to call
    #[arg(long, env = "UPSTREAM", value_name = "NAME", default_value = "service2", value_parser = program::service_name)]
    pub upstream: String,
    /// How to find it: catalog (Consul's HTTP API), dns, or fixed:HOST:PORT,...
    #[arg(long, env = "RESOLVE", value_name = "HOW", default_value = "catalog")]
    pub resolve: Source,
    /// Settings common to all services.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// The process, from its arguments (the program's name first) to its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { settings, command } = match program::parse(Arguments::command(), arguments) {
        Ok(arguments) => arguments,
        Err(stop) => stop.exit(),
    };
    program::start("info", async {
        match command {
            Some(Command::Health) => program::health(&settings.service_name, settings.listen).await,
            None => run(settings).await,
        }
    })
}

/// Serves and stays registered until a signal shuts it down gracefully.
///
/// # Errors
/// A setting is invalid, its address is in use, or a second signal stopped it at once.
pub async fn run(settings: Settings) -> Outcome {
    let Settings { listen, service_name, upstream, resolve, service } = settings;
    let discovery = Discovery::new(service.settings()?.source(resolve))?;
    let listener = program::listen(listen, "--listen (LISTEN)").await?;
    let pool = discovery.pool(&upstream);
    let relay = Relay::new(discovery.client(), &upstream);
    let server = Server::new()
        .get("/", move |request| relay.clone().answer(request))
        .admin(service.admin().await?, [pool]);
    let registered =
        discovery.register(service.registration(&service_name, listener.local_addr()?))?;
    registered
        .serve_until(shutdown_signal(), service.drain, |lifecycle| server.run(listener, lifecycle))
        .await?;
    Ok(())
}

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
