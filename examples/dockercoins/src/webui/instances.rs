//! The instances of all services: what Consul knows of them, and what each answers when it is asked.

use std::time::Duration;

use discovery::{CallOptions, Client, Discovery, Explained, Instance, Pool, Status};
use program::{chain, printable};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The services, and how each is asked.
const SERVICES: [(&str, Question); 5] = [
    ("webui", Question::Http("/health")),
    ("worker", Question::Http("/")),
    ("rng", Question::Http("/")),
    ("hasher", Question::Http("/")),
    ("redis", Question::Redis),
];

/// Instances that are asked; the rest is not shown.
const INSTANCES_MAX: usize = 200;
/// For the answer of an instance.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_MAX: usize = 1024;
/// Instances are not asked again before, however many browsers show the page.
const FRESH_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Question {
    Http(&'static str),
    Redis,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Line {
    service: &'static str,
    id: String,
    node: String,
    address: String,
    status: String,
    answer: String,
}

/// All instances.
pub(super) struct Instances {
    pools: Vec<(Pool, &'static str, Question)>,
    last: Mutex<Option<(Instant, Vec<Line>)>>,
}

impl Instances {
    pub(super) fn new(discovery: &Discovery) -> Self {
        let pool = |(name, question)| (discovery.pool(name), name, question);
        Self { pools: SERVICES.into_iter().map(pool).collect(), last: Mutex::default() }
    }

    /// The table, a second old at most.
    pub(super) async fn lines(&self) -> Vec<Line> {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, lines)) if at.elapsed() < FRESH_FOR => lines.clone(),
            _ => {
                let lines = self.ask().await;
                *last = Some((Instant::now(), lines.clone()));
                lines
            }
        }
    }

    /// Asks all at once. Sorted by service, in the order of [`SERVICES`], and by id.
    async fn ask(&self) -> Vec<Line> {
        let mut asked = JoinSet::new();
        for (place, (pool, service, question)) in self.pools.iter().enumerate() {
            for Explained { instance, .. } in pool.explain().instances {
                if asked.len() == INSTANCES_MAX {
                    break;
                }
                let (pool, service, question) = (pool.clone(), *service, *question);
                asked.spawn(async move {
                    let answer = question.ask(&pool, &instance).await;
                    (place, line(service, &instance, &answer))
                });
            }
        }
        let mut lines = asked.join_all().await;
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

fn line(service: &'static str, instance: &Instance, answer: &str) -> Line {
    Line {
        service,
        id: instance.id.to_string(),
        node: instance.node.to_string(),
        address: instance.to_string(),
        status: instance.status.to_string(),
        answer: printable(answer.trim()).into_owned(),
    }
}

impl Question {
    /// The answer of this instance, or the reason why there is none.
    async fn ask(self, pool: &Pool, instance: &Instance) -> String {
        if matches!(instance.status, Status::Critical | Status::Maintenance) {
            return "not asked".to_owned();
        }
        let id = instance.id.clone();
        let alone = pool.filter(move |it| it.id == id);
        let answer = async {
            match self {
                Self::Http(path) => get(alone, path).await,
                Self::Redis => ping(&alone).await,
            }
        };
        let late = |_| Err(format!("no answer within {ANSWER_WITHIN:?}"));
        timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(late).unwrap_or_else(|why| why)
    }
}

async fn get(pool: Pool, path: &str) -> Result<String, String> {
    let failed = |error: discovery::Error| chain(&error);
    let url = format!("http://{}{path}", pool.service());
    let once = CallOptions::default().tries_max(1);
    let client = Client::new(move |_| pool.clone()).with_options(once).map_err(failed)?;
    client.get(&url).await.map_err(failed)?.into_body().text(ANSWER_MAX).await.map_err(failed)
}

/// Redis answers `+PONG` to an inline command.
async fn ping(pool: &Pool) -> Result<String, String> {
    let (mut stream, pick) = pool.connect().await.map_err(|error| chain(&error))?;
    let exchange = async {
        stream.write_all(b"PING\r\n").await?;
        let mut answer = vec![0; ANSWER_MAX];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        Ok(answer)
    };
    match exchange.await {
        Ok(answer) => {
            pick.succeed();
            Ok(String::from_utf8_lossy(&answer).trim_start_matches('+').to_owned())
        }
        Err(error) => {
            pick.fail();
            Err(std::io::Error::to_string(&error))
        }
    }
}
