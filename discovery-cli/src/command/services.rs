//! `services`: all service names with their number of instances, by the HTTP catalog and by DNS.

use std::sync::Arc;

use discovery::{Instance, Status};
use program::Outcome;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    look::{Ask, BothAnswers, Consul},
    print::{Paint, Table, Tone, json_line, write_stdout},
};

/// Services that are queried at once. Consul's agent closes connections beyond 200 per client.
const LOOKS_MAX: usize = 16;

/// Lists all services, and how many instances of each Consul returns by HTTP and by DNS
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery services

A line that differs ends in the number of differing instances; `discovery resolve NAME` lists them.
Exit code 1: HTTP or DNS did not answer.")]
pub(crate) struct Services {
    #[command(flatten)]
    ask: Ask,
    /// Print one JSON array instead of the table
    #[arg(long)]
    json: bool,
}

/// A service and its instances.
struct Entry {
    name: String,
    tags: Vec<String>,
    answers: BothAnswers,
}

impl Services {
    pub(super) async fn run(self) -> Outcome {
        let consul = self.ask.consul()?;
        let named = consul.services().await?;
        let entries = look_at_all(&consul, named).await;
        write_stdout(&if self.json {
            as_json(&entries)
        } else {
            as_text(&entries, Paint::stdout())
        })?;
        match entries.iter().find_map(|entry| Some((&entry.name, entry.answers.failure()?))) {
            Some((name, failure)) => Err(format!("{name}: {failure}").into()),
            None => Ok(()),
        }
    }
}

/// Sorted by name.
async fn look_at_all(consul: &Consul, named: Vec<(String, Vec<String>)>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(named.len());
    let mut looks = JoinSet::new();
    for (name, tags) in named {
        if looks.len() == LOOKS_MAX {
            entries.extend(looks.join_next().await.and_then(Result::ok));
        }
        let consul = consul.clone();
        looks.spawn(async move { Entry { answers: consul.look(&name).await, name, tags } });
    }
    entries.extend(looks.join_all().await);
    entries.sort_by(|a: &Entry, b| a.name.cmp(&b.name));
    entries
}

fn as_text(entries: &[Entry], paint: Paint) -> String {
    let mut table = Table::new(["SERVICE", "HTTP", "DNS", "TAGS", ""]);
    for Entry { name, tags, answers } in entries {
        let http = answers.http.as_ref().map_or("?".into(), |seen| counts(&seen.instances));
        let dns = answers.dns.as_ref().map_or("?".into(), |seen| seen.instances.len().to_string());
        let (tone, mark) = match differing(answers) {
            0 => (Tone::Plain, String::new()),
            differing => (Tone::Bad, format!("<- {differing} differ")),
        };
        table.push(tone, [name.clone(), http, dns, tags.join(","), mark]);
    }
    table.render(paint)
}

/// The number of instances; if some are not callable, also the number of callable ones.
fn counts(instances: &[Arc<Instance>]) -> String {
    let is_callable =
        |seen: &&Arc<Instance>| matches!(seen.status, Status::Passing | Status::Warning);
    match (instances.iter().filter(is_callable).count(), instances.len()) {
        (callable, all) if callable == all => all.to_string(),
        (callable, all) => format!("{callable} of {all}"),
    }
}

fn differing(answers: &BothAnswers) -> usize {
    answers.lines().iter().filter(|line| line.verdict.differs()).count()
}

fn as_json(entries: &[Entry]) -> String {
    let count = |seen: &crate::look::Answer| seen.as_ref().ok().map(|seen| seen.instances.len());
    let entry = |Entry { name, tags, answers }: &Entry| {
        json!({
            "service": name,
            "tags": tags,
            "http": count(&answers.http),
            "dns": count(&answers.dns),
            "differing": differing(answers),
        })
    };
    json_line(&entries.iter().map(entry).collect())
}
