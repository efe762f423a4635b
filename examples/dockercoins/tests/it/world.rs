//! An agent, and the processes that are registered at it.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use discovery::{
    Discovery, Registration, Settings, ShutdownSignal, registration::Trigger, serve::Server,
};
use discovery_agent::Agent;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::http::{Answer, Request};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep},
};

/// For a condition to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent, and services of this process.
pub(crate) struct World {
    agent: Agent,
    services: JoinSet<()>,
    triggers: Vec<Trigger>,
}

/// A process of one of the four programs. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) at: SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            agent: Agent::start().await.unwrap(),
            services: JoinSet::new(),
            triggers: Vec::new(),
        }
    }

    /// Starts a program, with these variables, and waits until it is registered.
    pub(crate) async fn start(&self, name: &str, variables: &[(&str, String)]) -> Program {
        let child = command(name)
            .env("CONSUL_HTTP_ADDR", self.agent.url())
            .env("LISTEN", "127.0.0.1:0")
            .env("DRAIN", "0s")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .spawn()
            .unwrap();
        let at = eventually(async || self.address(name).await).await;
        Program { child, at }
    }

    /// Registers a service of this process.
    pub(crate) async fn serve(&mut self, name: &str, server: Server) {
        let url = self.agent.url();
        let settings =
            Settings::from_vars(|name| (name == "CONSUL_HTTP_ADDR").then(|| url.clone())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registration = Registration::new(name, listener.local_addr().unwrap());
        let registered = Discovery::new(settings).unwrap().register(registration).unwrap();
        let (trigger, signals) = ShutdownSignal::manual();
        self.triggers.push(trigger);
        self.services.spawn(async move {
            let serving = registered
                .serve_until(signals, Duration::ZERO, |lifecycle| server.run(listener, lifecycle));
            serving.await.unwrap();
        });
        eventually(async || self.address(name).await).await;
    }

    /// The address of the first instance of a service.
    async fn address(&self, service: &str) -> Option<SocketAddr> {
        let path = format!("/v1/health/service/{service}?passing");
        let entries = Request::get(path).send(self.agent.http_addr()).await.unwrap().json();
        let (node, found): (&Value, &Value) = (&entries[0]["Node"], &entries[0]["Service"]);
        // Without an address of its own, an instance has that of its node.
        let host = [found, node].iter().find_map(|it| it["Address"].as_str()?.parse().ok())?;
        Some(SocketAddr::new(host, u16::try_from(found["Port"].as_u64()?).ok()?))
    }
}

/// One of the four programs, without settings of this process's environment.
pub(crate) fn command(name: &str) -> Command {
    let path = match name {
        "rng" => env!("CARGO_BIN_EXE_rng"),
        "hasher" => env!("CARGO_BIN_EXE_hasher"),
        "worker" => env!("CARGO_BIN_EXE_worker"),
        "webui" => env!("CARGO_BIN_EXE_webui"),
        _ => panic!("no program {name}"),
    };
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Program {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        Request::new(method, path).body(body.into()).send(self.at).await.unwrap()
    }

    /// Sends SIGTERM, and returns the exit code and the log.
    pub(crate) async fn stop(self) -> (Option<i32>, String) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let output = self.child.wait_with_output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Repeats this until it returns something.
pub(crate) async fn eventually<T>(mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
