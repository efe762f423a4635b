//! What `up` knows of its processes, and what it says of them on the terminal. Pure.
//!
//! That a process runs is told by its keeper, where it serves by the catalog: what is said here is what every caller would be told.

use std::sync::Arc;

use discovery::{Instance, Status};

use super::{child::how, keep::News};
use crate::{
    command::agent::Serving,
    print::{Paint, Table, Tone},
};

/// The name of the agent's process.
pub(super) const AGENT: &str = "agent";

/// All processes of a chain.
#[derive(Debug)]
pub(super) struct Board {
    serving: Serving,
    /// In the order in which they are shown.
    entries: Vec<Entry>,
    /// Whether all of them have been seen at work.
    is_up: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// None while it does not run.
    pid: Option<u32>,
    /// The agent itself is in no catalog.
    at: Option<Arc<Instance>>,
    /// Of a run that ended; the catalog may tell it for a while.
    gone: Option<Arc<Instance>>,
}

impl Board {
    /// The agent, and services that are registered under these ids.
    pub(super) fn new(serving: Serving, services: impl IntoIterator<Item = String>) -> Self {
        let entry = |name| Entry { name, pid: None, at: None, gone: None };
        let entries = [AGENT.to_owned()].into_iter().chain(services).map(entry).collect();
        Self { serving, entries, is_up: false }
    }

    /// Whether all of them have been seen at work.
    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    /// Those that have not been seen at work.
    pub(super) fn missing(&self) -> Vec<&str> {
        let missing = self.entries.iter().filter(|entry| !entry.is_at_work());
        missing.map(|entry| entry.name.as_str()).collect()
    }

    /// What is to be said of the news.
    pub(super) fn hear(&mut self, news: News) -> Option<String> {
        match news {
            News::Started { name, pid } => {
                let is_again = self.is_up && name == AGENT;
                self.entry(&name)?.pid = pid;
                is_again.then(|| format!("{name} runs again: pid {}", shown(pid)))
            }
            News::Ended { name, status, again_in } => {
                let entry = self.entry(&name)?;
                let pid = shown(entry.pid.take());
                entry.gone = entry.at.take();
                let then = match again_in {
                    Some(pause) => format!("it is started again in {} s", pause.as_secs_f64()),
                    None => "it stays away".into(),
                };
                Some(format!("{name} (pid {pid}) {}; {then}", how(status)))
            }
            News::Lost { name, why } => {
                self.entry(&name)?.pid = None;
                Some(format!("{name} can't be started again: {why}"))
            }
        }
    }

    /// What is to be said of what the catalog tells.
    pub(super) fn see(&mut self, instances: &[Arc<Instance>], paint: Paint) -> Vec<String> {
        let mut said = Vec::new();
        for entry in &mut self.entries {
            if !entry.is_at_work() && entry.see(instances) && self.is_up {
                let at = entry.at.as_ref().map(ToString::to_string).unwrap_or_default();
                said.push(format!("{} runs again: pid {}, {at}", entry.name, shown(entry.pid)));
            }
        }
        if !self.is_up && self.missing().is_empty() {
            self.is_up = true;
            said.push(self.all(paint));
        }
        said
    }

    fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    /// What runs where, and what to try.
    fn all(&self, paint: Paint) -> String {
        let mut table = Table::new(["PROCESS", "PID", "ADDRESS"]);
        for entry in &self.entries {
            let at = match &entry.at {
                Some(instance) => instance.to_string(),
                None => format!("http {}, dns {}", self.serving.http, self.serving.dns),
            };
            table.push(Tone::Plain, [entry.name.clone(), shown(entry.pid), at]);
        }
        format!("{}\n{}\nCtrl-C ends all.", table.render(paint), self.to_try())
    }

    /// What to type in another terminal.
    fn to_try(&self) -> String {
        let Serving { http, dns } = self.serving;
        let service = |service: &str| {
            self.entries
                .iter()
                .find(|entry| entry.at.as_ref().is_some_and(|at| &*at.service == service))
        };
        let mut tries = Vec::new();
        if let Some(at) = service("service1").and_then(|entry| entry.at.as_ref()) {
            tries.push((format!("curl http://{at}/"), "four lines: who called whom"));
        }
        let question = format!("dig @{} -p {} service2.service.consul SRV", dns.ip(), dns.port());
        tries.push((question, "the instances of service2, by DNS"));
        tries.push((
            format!("curl http://{http}/v1/health/service/service2?passing"),
            "the same, by HTTP",
        ));
        if let Some(pid) = service("service2").map(|entry| shown(entry.pid)) {
            tries.push((
                format!("kill -9 {pid}"),
                "and call again: no call fails, and it comes back",
            ));
            tries.push((format!("kill {pid}"), "leaves in order, and stays away"));
        }
        let width = tries.iter().map(|(typed, _)| typed.len()).max().unwrap_or(0);
        let lines = tries.iter().map(|(typed, why)| format!("  {typed:width$}  {why}\n"));
        format!("Try in another terminal:\n{}", lines.collect::<String>())
    }
}

impl Entry {
    fn is_at_work(&self) -> bool {
        self.pid.is_some() && (self.at.is_some() || self.name == AGENT)
    }

    /// Whether it is seen at work now.
    fn see(&mut self, instances: &[Arc<Instance>]) -> bool {
        let is_gone =
            |seen: &Instance| self.gone.as_ref().is_some_and(|gone| gone.is_same_copy(seen));
        let is_this = |seen: &&Arc<Instance>| {
            seen.id.as_str() == self.name && seen.status == Status::Passing && !is_gone(seen)
        };
        self.at = self.pid.and_then(|_| instances.iter().find(is_this).cloned());
        self.at.is_some()
    }
}

fn shown(pid: Option<u32>) -> String {
    pid.map_or("?".into(), |pid| pid.to_string())
}
