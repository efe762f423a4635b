//! service2: returns the two ends of its connection. The last hop of the hello chain, and the smallest example of a service.

use std::{ffi::OsString, net::SocketAddr, process::ExitCode};

use clap::{CommandFactory, Parser};
use discovery::{
    Discovery,
    serve::{Request, Server, text},
    shutdown_signal,
};
use http::StatusCode;
use program::{Outcome, ServiceArgs};

/// The last hop of the hello chain: registers in Consul and returns the two ends of the connection
#[derive(Debug, Parser)]
#[command(
    name = "service2",
    version,
    after_help = "Example: CONSUL_HTTP_ADDR=127.0.0.1:8500 service2 --listen 127.0.0.1:0"
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
    #[arg(long, env = "LISTEN", value_name = "IP:PORT", default_value = "0.0.0.0:8002", value_parser = program::address)]
    pub listen: SocketAddr,
    /// Name to register in Consul
    #[arg(long, env = "SERVICE_NAME", value_name = "NAME", default_value = "service2", value_parser = program::service_name)]
    pub service_name: String,
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
    let Settings { listen, service_name, service } = settings;
    let discovery = Discovery::new(service.settings()?)?;
    let listener = program::listen(listen, "--listen (LISTEN)").await?;
    let server = Server::new().get("/", hello).admin(service.admin().await?, []);
    let registered =
        discovery.register(service.registration(&service_name, listener.local_addr()?))?;
    registered
        .serve_until(shutdown_signal(), service.drain, |lifecycle| server.run(listener, lifecycle))
        .await?;
    Ok(())
}

async fn hello(request: Request) -> http::Response<bytes::Bytes> {
    text(StatusCode::OK, format!("Hello from {}\nto {}\n", request.remote, request.local))
}
