//! The running chain: started in order, monitored, shut down gracefully.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use discovery::{
    Discovery, Instance, Settings, Watch,
    agent::{Address, AgentSettings},
    registration::near,
};
use program::Outcome;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Up,
    board::{AGENT, Board, Notice},
    child::{Child, how},
    format::{as_json, as_text},
    keep::{Group, ProcessEvent},
    plan::Plan,
};
use crate::{
    command::agent::Serving,
    print::{Paint, write_stdout},
};

/// Time for the agent to start.
const AGENT_WITHIN: Duration = Duration::from_secs(10);
/// Time for all services to register, from their start.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// A port chosen by the system.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Limit of queued events; senders wait beyond it.
const EVENTS_MAX: usize = 64;

type Failure = Box<dyn Error + Send + Sync>;

/// The format of the output.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text(Paint),
    Json,
}

#[derive(Debug)]
pub(super) struct Chain {
    form: Form,
    serving: Serving,
    board: Board,
    events: mpsc::Receiver<ProcessEvent>,
    watches: [Watch; 2],
    up_by: Instant,
    /// In the order in which they were started; they are stopped in reverse order.
    groups: Vec<Group>,
}

impl Chain {
    /// Starts the agent, and once it serves, the services.
    pub(super) async fn start(up: &Up) -> Result<Self, Failure> {
        let plan = Plan::new()?;
        let (events_tx, events) = mpsc::channel(EVENTS_MAX);
        let mut agent = Child::start(&plan.agent(up.agent()))?;
        let serving = serving(&mut agent).await?;
        let mut groups = [Group::default(), Group::default(), Group::default()];
        let [agents, services2, services1] = &mut groups;
        // After a restart it has the same address.
        agents.keep(plan.agent(serving), agent, events_tx.clone());
        let mut names = Vec::new();
        for number in 1..=up.scale {
            let name = format!("service2-{number}");
            services2
                .start(plan.service("service2", &name, ANY_PORT, serving), events_tx.clone())?;
            names.push(name);
        }
        services1.start(plan.service("service1", "service1", up.listen, serving), events_tx)?;
        names.push("service1".to_owned());
        let discovery = Discovery::new(settings(serving)?)?;
        let watches = ["service1", "service2"].map(|name| discovery.watch(name));
        let up_by = Instant::now() + UP_WITHIN;
        let form = if up.json { Form::Json } else { Form::Text(Paint::stdout()) };
        let board = Board::new(names);
        Ok(Self { form, serving, board, events, watches, up_by, groups: groups.into() })
    }

    /// Prints events. Ends when no process runs any more. Cancel-safe.
    ///
    /// # Errors
    /// A process ended before all were ready, or they are not ready in time.
    pub(super) async fn watch_over(&mut self) -> Outcome {
        loop {
            let [watch1, watch2] = &mut self.watches;
            tokio::select! {
                event = self.events.recv() => {
                    let Some(event) = event else { return Ok(()) };
                    if let Some(notice) = self.board.apply(event) {
                        if !self.board.is_up() {
                            return Err(too_early(&notice).into());
                        }
                        self.print(&notice)?;
                    }
                }
                _ = watch1.changed() => {}
                _ = watch2.changed() => {}
                () = sleep_until(self.up_by), if !self.board.is_up() => {
                    let missing = self.board.missing().join(", ");
                    return Err(format!("not running in time: {missing}; see their logs above").into());
                }
            }
            let seen: Vec<_> = self.watches.iter().flat_map(instances).collect();
            for notice in self.board.observe(&seen) {
                self.print(&notice)?;
            }
        }
    }

    fn print(&self, notice: &Notice) -> io::Result<()> {
        write_stdout(&match self.form {
            Form::Text(paint) => as_text(notice, self.serving, paint),
            Form::Json => as_json(notice, self.serving),
        })
    }

    /// Stops service1, then the services that it calls, then the agent.
    pub(super) async fn end(&mut self) {
        // Events are no longer read, so no sender may wait.
        self.events.close();
        while let Some(group) = self.groups.pop() {
            group.end().await;
        }
    }
}

fn instances(watch: &Watch) -> Vec<Arc<Instance>> {
    watch.current().snapshot.map_or_else(Vec::new, |snapshot| snapshot.instances.to_vec())
}

/// The addresses of the agent, from its output.
async fn serving(agent: &mut Child) -> Result<Serving, Failure> {
    let line = timeout(AGENT_WITHIN, agent.first_line())
        .await
        .map_err(|_| "the agent did not start in time")??;
    if line.is_empty() {
        return Err(format!("{AGENT} {}: see its log above", how(agent.ended().await?)).into());
    }
    Ok(serde_json::from_str(&line)?)
}

fn settings(at: Serving) -> Result<Settings, discovery::Error> {
    let address: Address = near(at.http).to_string().parse()?;
    Ok(Settings::new(AgentSettings::new(address)).dns(near(at.dns)))
}

/// The error if a process ended before all were ready.
fn too_early(notice: &Notice) -> String {
    match notice {
        Notice::Ended { name, status, .. } => {
            format!("{name} {}: see its log above", how(*status))
        }
        Notice::Lost { name, why } => format!("{name} cannot be started: {why}"),
        Notice::Up(_) | Notice::Restarted(_) => "not all processes were ready".into(),
    }
}
