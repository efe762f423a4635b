//! `watch NAME`: changes of the instances of a service, by the HTTP catalog and by DNS.

use std::{sync::Arc, time::SystemTime};

use discovery::{Instance, Status, Watched};
use program::{Outcome, chain, printable};
use serde_json::{Value, json};

use crate::{
    look::{Ask, Change, changes, instance_json},
    print::{Paint, Tone, json_line, time_of_day, write_stdout},
};

/// Prints changes to the instances of a service as they happen, by HTTP and by DNS
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery watch service2

A change is seen at once by HTTP, and at the next query by DNS: while they differ, a line ends in
both counts. While Consul is not reachable, the command prints the error and keeps trying. Ctrl-C
stops it.")]
pub(crate) struct Watch {
    /// The service
    name: String,
    #[command(flatten)]
    ask: Ask,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// One source, and its last answer.
struct SourceState {
    label: &'static str,
    /// None before the first answer.
    instances: Option<Arc<[Arc<Instance>]>>,
    failing: bool,
}

/// One line of output.
#[derive(Debug)]
enum Event {
    Change(Change),
    Failed(String),
    Recovered,
}

impl Watch {
    pub(super) async fn run(self) -> Outcome {
        let (mut http_watch, mut dns_watch) = self.ask.consul()?.watch(&self.name);
        let (mut http, mut dns) = (SourceState::new("http"), SourceState::new("dns"));
        let paint = Paint::stdout();
        loop {
            let (events, source, other) = tokio::select! {
                watched = http_watch.changed() => (http.apply(watched), &http, &dns),
                watched = dns_watch.changed() => (dns.apply(watched), &dns, &http),
            };
            let now = time_of_day(SystemTime::now());
            for event in events {
                write_stdout(&if self.json {
                    as_json(&now, source.label, &event)
                } else {
                    as_text(&now, source, other, &event, paint)
                })?;
            }
        }
    }
}

impl SourceState {
    fn new(label: &'static str) -> Self {
        Self { label, instances: None, failing: false }
    }

    /// The number of callable instances in the last answer.
    fn callable(&self) -> Option<usize> {
        let is_callable =
            |seen: &&Arc<Instance>| matches!(seen.status, Status::Passing | Status::Warning);
        self.instances.as_ref().map(|instances| instances.iter().filter(is_callable).count())
    }

    /// The changes in a new answer.
    fn apply(&mut self, watched: Watched) -> Vec<Event> {
        let mut events = Vec::new();
        match (self.failing, &watched.failure) {
            (false, Some(err)) => events.push(Event::Failed(chain(&**err))),
            (true, None) => events.push(Event::Recovered),
            (true, Some(_)) | (false, None) => {}
        }
        self.failing = watched.failure.is_some();
        if let Some(snapshot) = watched.snapshot {
            let before = self.instances.as_deref().unwrap_or_default();
            events.extend(changes(before, &snapshot.instances).into_iter().map(Event::Change));
            self.instances = Some(snapshot.instances.clone());
        }
        events
    }
}

fn as_text(
    now: &str,
    source: &SourceState,
    other: &SourceState,
    event: &Event,
    paint: Paint,
) -> String {
    let (tone, text) = match event {
        Event::Change(Change::Added(seen)) => (Tone::Good, format!("+ {seen}{}", described(seen))),
        Event::Change(Change::Removed(seen)) => (Tone::Bad, format!("- {seen}{}", described(seen))),
        Event::Change(Change::Changed(was, seen)) => {
            (Tone::Doubtful, format!("~ {seen}{}: {}", described(seen), difference(was, seen)))
        }
        Event::Failed(why) => (Tone::Bad, format!("! {why}")),
        Event::Recovered => (Tone::Good, "! answers again".into()),
    };
    let both = match (source.callable(), other.callable()) {
        (Some(one), Some(two)) if one != two => {
            format!("  ({} {one}, {} {two})", source.label, other.label)
        }
        _ => String::new(),
    };
    paint.paint(tone, &format!("{now}  {:4}  {}{both}", source.label, printable(&text))) + "\n"
}

/// The columns after the address. DNS has only the weight.
fn described(seen: &Instance) -> String {
    match &*seen.node {
        "" => format!(" weight {}", seen.weight()),
        node => format!(" {} weight {} {}@{node}", seen.status, seen.weight(), seen.id),
    }
}

fn difference(was: &Instance, seen: &Instance) -> String {
    let mut differing = Vec::new();
    if was.status != seen.status {
        differing.push(format!("was {}", was.status));
    }
    if was.weight() != seen.weight() {
        differing.push(format!("had weight {}", was.weight()));
    }
    if was.tags != seen.tags {
        differing.push(format!("had tags {}", was.tags.join(",")));
    }
    if was.meta != seen.meta {
        differing.push("another run, or other meta".into());
    }
    differing.join(", ")
}

fn as_json(now: &str, source: &str, event: &Event) -> String {
    let (what, rest) = match event {
        Event::Change(Change::Added(seen)) => ("added", json!({ "instance": instance_json(seen) })),
        Event::Change(Change::Removed(seen)) => {
            ("removed", json!({ "instance": instance_json(seen) }))
        }
        Event::Change(Change::Changed(was, seen)) => {
            ("changed", json!({ "instance": instance_json(seen), "was": instance_json(was) }))
        }
        Event::Failed(why) => ("failed", json!({ "why": why })),
        Event::Recovered => ("answers", json!({})),
    };
    let mut all = json!({ "at": now, "by": source, "what": what });
    if let (Value::Object(all), Value::Object(rest)) = (&mut all, rest) {
        all.extend(rest);
    }
    json_line(&all)
}
