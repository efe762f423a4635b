//! What the four processes share: command line, registration, and the order of their end.

use std::{ffi::OsString, net::SocketAddr, process::ExitCode};

use clap::{CommandFactory, Parser};
use discovery::{Discovery, Error, Lifecycle, ShutdownSignal, serve::Server, shutdown_signal};
use program::{Outcome, ServiceArgs};

/// A service, as its process is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// The name of the program, and of the service in Consul.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The default of `--listen`.
    pub(crate) listen: &'static str,
}

#[derive(Debug, Parser)]
#[command(version)]
struct Arguments<S: clap::Args> {
    /// Address to listen on; with port 0 the system chooses a port
    #[arg(long, env = "LISTEN", value_name = "IP:PORT", value_parser = program::address)]
    listen: SocketAddr,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    settings: S,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks the health of the running service: exit code 0 or 1
    Health,
}

/// For a service without settings of its own.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NoSettings {}

/// What a service has when it starts.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) discovery: Discovery,
    pub(crate) name: &'static str,
    pub(crate) listen: SocketAddr,
    pub(crate) args: ServiceArgs,
    pub(crate) signals: ShutdownSignal,
}

impl Service {
    /// The process, from its arguments (the program's name first) to its exit code. `run` gets the settings of this service.
    pub(crate) fn main<S: clap::Args>(
        self,
        typed: impl IntoIterator<Item = OsString>,
        run: impl AsyncFnOnce(Start, S) -> Outcome,
    ) -> ExitCode {
        let command = Arguments::<S>::command()
            .name(self.name)
            .about(self.about)
            .mut_arg("listen", |arg| arg.default_value(self.listen).required(false));
        let Arguments { listen, service: args, settings, command } =
            match program::parse(command, typed) {
                Ok(arguments) => arguments,
                Err(stop) => stop.exit(),
            };
        program::start("info", async {
            if let Some(Command::Health) = command {
                return program::health(self.name, listen).await;
            }
            let discovery = Discovery::new(args.settings()?)?;
            let signals = shutdown_signal();
            run(Start { discovery, name: self.name, listen, args, signals }, settings).await
        })
    }
}

impl Start {
    /// Serves, and stays registered, until a signal shuts it down. Beside the server runs `work`, until the shutdown begins and it has
    /// finished by itself ([`Lifecycle::shutdown`]).
    ///
    /// # Errors
    /// Its address is in use, or a second signal stopped it at once.
    pub(crate) async fn serve(self, server: Server, work: impl AsyncFnOnce(Lifecycle)) -> Outcome {
        let listener = program::listen(self.listen, "--listen (LISTEN)").await?;
        let server = server.admin(self.args.admin().await?, []);
        let registration = self.args.registration(self.name, listener.local_addr()?);
        let registered = self.discovery.register(registration)?;
        let serve = async |lifecycle: Lifecycle| {
            tokio::join!(server.run(listener, lifecycle.clone()), work(lifecycle));
        };
        registered.serve_until(self.signals, self.args.drain, serve).await.map_err(Error::into)
    }
}

/// For a service that only answers.
pub(crate) async fn no_work(_: Lifecycle) {}
