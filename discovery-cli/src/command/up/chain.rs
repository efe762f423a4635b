//! The running chain: started in order, watched over, shut down gracefully.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use discovery::{
    Discovery, DnsAddress, Host, Instance, Settings, Watch,
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
    board::{AGENT, Board, Saying},
    child::{Child, how},
    keep::{Group, News},
    plan::Plan,
    words::{as_json, as_text},
};
use crate::{
    command::agent::Serving,
    print::{Paint, say},
};

/// Until the agent serves.
const AGENT_WITHIN: Duration = Duration::from_secs(10);
/// Until all services are registered, from their start.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// Whatever the system chooses.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// News that have not been read yet; who has more waits.
const NEWS_MAX: usize = 64;

type Failure = Box<dyn Error + Send + Sync>;

/// For whom it is said.
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
    /// In the order in which they were started; they end the other way round.
    groups: Vec<Group>,
}

impl Chain {
    /// Starts the agent, and when that serves, the services.
    pub(super) async fn start(up: &Up) -> Result<Self, Failure> {
        let plan = Plan::new()?;
        let (news_tx, news) = mpsc::channel(NEWS_MAX);
        let mut agent = Child::start(&plan.agent(up.agent()))?;
        let serving = serving(&mut agent).await?;
        let mut groups = [Group::default(), Group::default(), Group::default()];
        let [agents, services2, services1] = &mut groups;
        // Started again, it is to be found where it was.
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

    /// Says what happens. Ends when nothing runs any more. Cancel-safe.
    ///
    /// # Errors
    /// A part ended before all were at work, or they are not in time.
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

    fn say(&self, saying: &Saying) -> io::Result<()> {
        say(&match self.form {
            Form::Text(paint) => as_text(saying, self.serving, paint),
            Form::Json => as_json(saying, self.serving),
        })
    }

    /// Ends service1, then what it calls, then what all of them need.
    pub(super) async fn end(&mut self) {
        // Nobody reads news any more, so nobody may wait to tell them.
        self.news.close();
        while let Some(group) = self.groups.pop() {
            group.end().await;
        }
    }
}

fn instances(watch: &Watch) -> Vec<Arc<Instance>> {
    watch.current().snapshot.map_or_else(Vec::new, |snapshot| snapshot.instances.to_vec())
}

/// Where the agent serves, as it says itself.
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
    let dns = near(at.dns);
    let dns = DnsAddress { host: Host::Ip(dns.ip()), port: dns.port() };
    let agent = AgentSettings { address, ..AgentSettings::default() };
    Ok(Settings { agent, dns, ..Settings::default() })
}

/// Why a part that ended before all were at work ends everything.
fn too_early(saying: &Saying) -> String {
    match saying {
        Saying::Ended { name, status, .. } => {
            format!("{name} {}: see its log above", how(*status))
        }
        Saying::Lost { name, why } => format!("{name} cannot be started: {why}"),
        Saying::Up(_) | Saying::Again(_) => "not all were at work".into(),
    }
}
