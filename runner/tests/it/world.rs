//! A Consul, embedded or real, and a program that runs until its test ends.

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use discovery::{
    Discovery, Registration, Settings,
    agent::{AgentClient, AgentSettings, wire::check::CheckStatus},
};
use discovery_agent::Agent;
use runner::{Error, Plan, Readiness, Service};
use testkit::{
    consul::{Binary, Consul},
    ports,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The deadline of everything that a test waits for, generous for a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Keeps the Consul of a test.
#[expect(dead_code, reason = "held until the test ends")]
enum Engine {
    Embedded(Agent),
    Real(Box<Consul>),
}

pub(crate) struct World {
    pub(crate) discovery: Discovery,
    pub(crate) http: SocketAddr,
    agent: AgentClient,
    _engine: Engine,
}

/// Runs a case on the embedded agent, and concurrently on a real Consul if there is one.
pub(crate) async fn everywhere(case: impl AsyncFn(World)) {
    let embedded = async {
        let agent = Agent::start().await.unwrap();
        case(World::of(agent.http_addr(), Engine::Embedded(agent))).await;
    };
    let real = async {
        if let Some(binary) = Binary::find_or_skip() {
            let consul = Consul::of(&binary).start().await.unwrap();
            case(World::of(consul.http_addr(), Engine::Real(Box::new(consul)))).await;
        }
    };
    tokio::join!(embedded, real);
}

impl World {
    fn of(http: SocketAddr, engine: Engine) -> Self {
        let settings = AgentSettings::new(http);
        let agent = AgentClient::new(settings.clone()).unwrap();
        Self {
            discovery: Discovery::new(Settings::new(settings)).unwrap(),
            http,
            agent,
            _engine: engine,
        }
    }

    pub(crate) async fn embedded() -> Self {
        let agent = Agent::start().await.unwrap();
        Self::of(agent.http_addr(), Engine::Embedded(agent))
    }

    /// Runs a shell script, and waits until it has started: before, nothing may listen on the ports of its services.
    pub(crate) async fn start(&self, mut plan: Plan) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let started = dir.path().join("started");
        let script = plan.command.pop().unwrap().into_string().unwrap();
        plan.command.push(format!("touch {}; {script}", started.display()).into());
        let running = self.run(plan);
        let has_started = async {
            while !started.exists() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, has_started).await.expect("it does not start");
        running
    }

    /// Runs a program. It is killed when the handle is dropped.
    pub(crate) fn run(&self, plan: Plan) -> Running {
        let discovery = self.discovery.clone();
        Running(tokio::spawn(async move { runner::run(&discovery, plan).await }))
    }

    /// Waits until the catalog shows these instances of a service, each as id and status, with the output of a critical check.
    pub(crate) async fn until_shown(&self, service: &str, expected: &[&str]) {
        let shown_as_expected = async {
            while self.shown(service).await != expected {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(SOON, shown_as_expected).await.is_err() {
            panic!("not {expected:?} in time, but {:?}", self.shown(service).await);
        }
    }

    pub(crate) async fn shown(&self, service: &str) -> Vec<String> {
        let answer = self.agent.health(&service.into(), None).await.unwrap();
        let show = |entry: discovery::agent::wire::service::ServiceEntry| {
            let own = entry.checks.iter().find(|check| check.check_id.starts_with("service:"));
            let shown = own.map(|check| match check.status {
                CheckStatus::Critical => format!("critical ({})", check.output),
                // Consul shows another output only minutes later if the status is the same.
                status => status.to_string(),
            });
            format!("{} {}", entry.service.id, shown.unwrap_or_default())
        };
        answer.body.into_iter().map(show).collect()
    }
}

pub(crate) struct Running(JoinHandle<Result<u8, Error>>);

impl Running {
    pub(crate) async fn ended(&mut self) -> Result<u8, Error> {
        timeout(SOON, &mut self.0).await.expect("it does not end").unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A free port of 127.0.0.1.
pub(crate) fn free() -> SocketAddr {
    let [port] = ports::free().unwrap();
    ([127, 0, 0, 1], port).into()
}

/// An instance with the id `<name>-1`.
pub(crate) fn service(name: &str, at: SocketAddr, readiness: &str) -> Service {
    let registration = Registration::new(name, at).id(format!("{name}-1"));
    Service { registration, readiness: readiness.parse::<Readiness>().unwrap() }
}

/// A program that is a shell script.
pub(crate) fn plan(script: &str, services: Vec<Service>) -> Plan {
    let command = ["sh", "-c", script].map(OsString::from).into();
    Plan { command, hidden: Vec::new(), services, drain: Duration::ZERO, launcher: Vec::new() }
}
