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
    keep::{Group, News},
    plan::Plan,
    words::{as_json, as_text},
};
use crate::{
    command::agent::Serving,
    print::{Paint, say},
};

/// Time for the agent to start.
const AGENT_WITHIN: Duration = Duration::from_secs(10);
/// Time for all services to register, from their start.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// A port chosen by the system.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Limit of queued news; senders wait beyond it.
const NEWS_MAX: usize = 64;

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
    news: mpsc::Receiver<News>,
    watches: [Watch; 2],
    up_by: Instant,
    /// In the order in which they were started; they are stopped in reverse order.
    groups: Vec<Group>,
}

impl Chain {
    /// Starts the agent, and once it serves, the services.
    pub(super) async fn start(up: &Up) -> Result<Self, Failure> {
        let plan = Plan::new()?;
        let (news_tx, news) = mpsc::channel(NEWS_MAX);
        let mut agent = Child::start(&plan.agent(up.agent()))?;
        let serving = serving(&mut agent).await?;
        let mut groups = [Group::default(), Group::default(), Group::default()];
        let [agents, services2, services1] = &mut groups;
        // After a restart it has the same address.
        agents.keep(plan.agent(serving), agent, news_tx.clone());
        let mut names = Vec::new();
        for number in 1..=up.scale {
            let name = format!("service2-{number}");
            services2.start(plan.service("service2", &name, ANY_PORT, serving), news_tx.clone())?;
            names.push(name);
        }
        services1.start(plan.service("service1", "service1", up.listen, serving), news_tx)?;
        names.push("service1".to_owned());
        let discovery = Discovery::new(settings(serving)?)?;
        let watches = ["service1", "service2"].map(|name| discovery.watch(name));
        let up_by = Instant::now() + UP_WITHIN;
        let form = if up.json { Form::Json } else { Form::Text(Paint::stdout()) };
        let board = Board::new(names);
        Ok(Self { form, serving, board, news, watches, up_by, groups: groups.into() })
    }

    /// Prints events. Ends when no process runs any more. Cancel-safe.
    ///
    /// # Errors
    /// A process ended before all were ready, or they are not ready in time.
    pub(super) async fn watch_over(&mut self) -> Outcome {
        loop {
            let [watch1, watch2] = &mut self.watches;
            tokio::select! {
                news = self.news.recv() => {
                    let Some(news) = news else { return Ok(()) };
                    if let Some(saying) = self.board.hear(news) {
                        if !self.board.is_up() {
                            return Err(too_early(&saying).into());
                        }
                        self.say(&saying)?;
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
            for saying in self.board.see(&seen) {
                self.say(&saying)?;
            }
        }
    }

    fn say(&self, saying: &Notice) -> io::Result<()> {
        say(&match self.form {
            Form::Text(paint) => as_text(saying, self.serving, paint),
            Form::Json => as_json(saying, self.serving),
        })
    }

    /// Stops service1, then the services that it calls, then the agent.
    pub(super) async fn end(&mut self) {
        // News are no longer read, so no sender may wait.
        self.news.close();
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
fn too_early(saying: &Notice) -> String {
    match saying {
        Notice::Ended { name, status, .. } => {
            format!("{name} {}: see its log above", how(*status))
        }
        Notice::Lost { name, why } => format!("{name} cannot be started: {why}"),
        Notice::Up(_) | Notice::Again(_) => "not all were at work".into(),
    }
}
