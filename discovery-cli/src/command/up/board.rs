//! The state of the processes of `up`. Pure; its output is in `format`.
//!
//! The keeper reports whether a process runs; the catalog has its address. The output shows what any caller would get.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use discovery::{Instance, Status};

use super::keep::ProcessEvent;

/// The name of the agent's process.
pub(super) const AGENT: &str = "agent";

/// All processes of a chain.
#[derive(Debug)]
pub(super) struct Board {
    /// In the order of the output.
    entries: Vec<Entry>,
    /// Whether all of them have been ready.
    is_up: bool,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// None while it does not run.
    pub(super) pid: Option<u32>,
    /// Its address. The agent itself is in no catalog.
    pub(super) at: Option<Arc<Instance>>,
    /// Its address in a run that ended; the catalog may still have it.
    previous: Option<Arc<Instance>>,
}

/// An event to print.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// All are ready for the first time.
    Up(Vec<Entry>),
    /// One ended without a stop by `up`.
    Ended { name: String, pid: Option<u32>, status: ExitStatus, restart_in: Option<Duration> },
    /// One that had ended was restarted and is ready.
    Restarted(Entry),
    /// One can't be restarted.
    Lost { name: String, why: String },
}

impl Board {
    /// The agent, and services that are registered under these ids.
    pub(super) fn new(services: impl IntoIterator<Item = String>) -> Self {
        let entry = |name| Entry { name, pid: None, at: None, previous: None };
        let entries = [AGENT.to_owned()].into_iter().chain(services).map(entry).collect();
        Self { entries, is_up: false }
    }

    /// Whether all of them have been ready.
    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    /// Those that are not ready.
    pub(super) fn missing(&self) -> Vec<&str> {
        let missing = self.entries.iter().filter(|entry| !entry.is_ready());
        missing.map(|entry| entry.name.as_str()).collect()
    }

    /// Applies an event of a process, and returns the event to print.
    pub(super) fn apply(&mut self, event: ProcessEvent) -> Option<Notice> {
        match event {
            ProcessEvent::Started { name, pid } => {
                let is_up = self.is_up;
                let entry = self.entry(&name)?;
                entry.pid = pid;
                (is_up && entry.is_ready()).then(|| Notice::Restarted(entry.clone()))
            }
            ProcessEvent::Ended { name, status, restart_in } => {
                let entry = self.entry(&name)?;
                let pid = entry.pid.take();
                entry.previous = entry.at.take();
                Some(Notice::Ended { name, pid, status, restart_in })
            }
            ProcessEvent::Lost { name, why } => Some(Notice::Lost { name, why: why.to_string() }),
        }
    }

    /// Applies the instances in the catalog, and returns the events to print.
    pub(super) fn observe(&mut self, instances: &[Arc<Instance>]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for entry in &mut self.entries {
            if !entry.is_ready() && entry.observe(instances) && self.is_up {
                notices.push(Notice::Restarted(entry.clone()));
            }
        }
        if !self.is_up && self.missing().is_empty() {
            self.is_up = true;
            notices.push(Notice::Up(self.entries.clone()));
        }
        notices
    }

    fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }
}

impl Entry {
    fn is_ready(&self) -> bool {
        self.pid.is_some() && (self.at.is_some() || self.name == AGENT)
    }

    /// Whether it is ready according to the catalog.
    fn observe(&mut self, instances: &[Arc<Instance>]) -> bool {
        let is_previous = |seen: &Instance| {
            self.previous.as_ref().is_some_and(|previous| previous.is_same_copy(seen))
        };
        let is_this = |seen: &&Arc<Instance>| {
            seen.id.as_str() == self.name && seen.status == Status::Passing && !is_previous(seen)
        };
        self.at = self.pid.and_then(|_| instances.iter().find(is_this).cloned());
        self.at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn started(name: &str, pid: u32) -> ProcessEvent {
        ProcessEvent::Started { name: name.into(), pid: Some(pid) }
    }

    fn killed(name: &str) -> ProcessEvent {
        ProcessEvent::Ended {
            name: name.into(),
            status: ExitStatus::from_raw(9),
            restart_in: Some(Duration::ZERO),
        }
    }

    fn at(id: &str, port: u16) -> Arc<Instance> {
        let mut instance = Instance::at("web", "127.0.0.1".into(), port);
        instance.id = id.into();
        Arc::new(instance)
    }

    /// A board of the agent and `web`, both ready.
    fn up() -> Board {
        let mut board = Board::new(["web".to_owned()]);
        assert_eq!(board.missing(), ["agent", "web"]);
        assert_eq!(board.apply(started("agent", 1)), None);
        assert_eq!(board.observe(&[at("web", 80)]), [], "the process is not reported as started");
        assert_eq!(board.apply(started("web", 2)), None);
        assert!(
            matches!(&board.observe(&[at("web", 80)])[..], [Notice::Up(entries)] if entries.len() == 2)
        );
        assert_eq!(board.observe(&[at("web", 80)]), [], "it is printed once");
        board
    }

    #[test]
    fn a_restarted_service_is_ready_when_the_catalog_has_its_new_run() {
        let mut board = up();
        assert!(matches!(board.apply(killed("web")), Some(Notice::Ended { pid: Some(2), .. })));
        assert_eq!(board.apply(started("web", 3)), None);
        let critical = Arc::new((*at("web", 81)).clone().status(Status::Critical));
        for not_yet in [vec![], vec![at("web", 80)], vec![critical], vec![at("other", 81)]] {
            assert_eq!(board.observe(&not_yet), [], "{not_yet:?}");
        }
        let restarted = board.observe(&[at("web", 80), at("web", 81)]);
        assert!(
            matches!(&restarted[..], [Notice::Restarted(entry)] if entry.pid == Some(3) && entry.at == Some(at("web", 81))),
            "{restarted:?}"
        );
    }

    #[test]
    fn a_restarted_agent_is_ready_as_soon_as_it_runs() {
        let mut board = up();
        board.apply(killed("agent"));
        assert!(
            matches!(board.apply(started("agent", 9)), Some(Notice::Restarted(entry)) if entry.pid == Some(9))
        );
    }
}
