//! The state of the agent, as a pure state machine: no socket, no clock, no `async`. Its inputs are commands and the time ([`State::apply`],
//! [`State::expire`]), its output is what changed ([`Effects`]).
//!
//! It contains both halves of a single Consul server: the agent, with its own services and checks, and the catalog. Between the two there is one
//! delay, which is Consul's: a new output of a check whose status stays the same reaches the catalog late (`PUBLISH_DELAY`), so that heartbeats
//! do not wake all blocking queries.

mod catalog;
mod check;
mod command;
mod health;
mod maintenance;
mod node;
mod saved;
mod service;
mod streak;
#[cfg(test)]
mod tests;
mod timer;
mod topic;

use std::collections::{BTreeMap, BTreeSet};

use consul_wire::service::{Node, Service};
use tokio::time::Instant;

pub(crate) use self::{
    catalog::Instance,
    check::Check,
    command::{
        CheckDefinition, CheckKind, CheckTarget, Command, HttpCheck, OUTPUT_BYTES_MAX, Refusal,
        ServiceDefinition, Subject, TcpCheck, Thresholds,
    },
    health::Aggregate,
    node::{Identity, SERVER_SERVICE, VERSION, member, wan_member},
    saved::Saved,
    topic::Topic,
};
use self::{timer::Timers, topic::Topics};

/// The state of an agent.
#[derive(Debug, Clone)]
pub(crate) struct State {
    node: Node,
    /// By id.
    services: BTreeMap<String, Service>,
    /// Ids by name in lower case: Consul finds names without regard to case.
    names: BTreeMap<String, BTreeSet<String>>,
    /// By id.
    checks: BTreeMap<String, Check>,
    /// Ids of checks by the id of their service; those of the node by an empty id.
    check_ids: BTreeMap<String, BTreeSet<String>>,
    topics: Topics,
    timers: Timers,
    /// The durability of the changes since it was last taken.
    unsaved: Unsaved,
}

/// The durability of a change. The greater one counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaved {
    #[default]
    Nothing,
    /// A check status. The next heartbeat restores what is lost.
    Heartbeat,
    /// A registration. It is not repeated, so its request is answered once it is on disk.
    Registration,
}

/// The effects of a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The topics whose answers changed: their waiters are woken.
    pub(crate) changed: BTreeSet<Topic>,
    /// The durability that the change needs.
    pub(crate) unsaved: Unsaved,
    /// The set of active checks changed: see [`State::targets`].
    pub(crate) checks_changed: bool,
    /// The next deadline may be earlier than before.
    pub(crate) deadline_changed: bool,
}

impl State {
    /// The state of a new agent, with nothing registered.
    pub(crate) fn new(identity: &Identity) -> Self {
        let mut state = Self {
            node: node::row(identity),
            services: BTreeMap::new(),
            names: BTreeMap::new(),
            checks: BTreeMap::new(),
            check_ids: BTreeMap::new(),
            topics: Topics::default(),
            timers: Timers::default(),
            unsaved: Unsaved::default(),
        };
        state.insert_service(node::server_service());
        state.insert_check(node::serf_health(&identity.node_name));
        state.take_effects();
        state
    }

    /// Applies a command, or refuses it as a whole.
    ///
    /// # Errors
    ///
    /// [`Refusal`] is the reason, with Consul's text. Nothing has changed then.
    pub(crate) fn apply(&mut self, command: Command, now: Instant) -> Result<Effects, Refusal> {
        match command {
            Command::RegisterService { service, checks, replace } => {
                self.register_service(service, checks, replace, now)?;
            }
            Command::DeregisterService(id) => self.deregister_service(&id)?,
            Command::RegisterCheck(check) => self.register_check(check, now)?,
            Command::DeregisterCheck(id) => self.deregister_check(&id)?,
            Command::Heartbeat { check, status, output } => {
                self.heartbeat(&check, status, output, now)?
            }
            Command::Observe { check, target, status, output } => {
                self.observe(&check, &target, status, output, now);
            }
            Command::ServiceMaintenance { service, reason } => {
                self.service_maintenance(&service, reason.as_deref())?;
            }
            Command::NodeMaintenance { reason } => self.node_maintenance(reason.as_deref()),
        }
        Ok(self.take_effects())
    }

    /// The index of a topic, which is `X-Consul-Index`. It never decreases, and increases whenever the answer changes.
    pub(crate) fn index_of(&self, topic: &Topic) -> u64 {
        self.topics.index_of(topic)
    }

    /// The index of the last change.
    pub(crate) fn index(&self) -> u64 {
        self.topics.index()
    }

    /// Whether this is registered.
    pub(crate) fn holds(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Service(id) => self.services.contains_key(id),
            Subject::Check(id) => self.checks.contains_key(id),
        }
    }

    /// Marks the change as durable.
    fn must_save(&mut self, unsaved: Unsaved) {
        self.unsaved = self.unsaved.max(unsaved);
    }

    fn take_effects(&mut self) -> Effects {
        Effects {
            changed: self.topics.take_changed(),
            unsaved: std::mem::take(&mut self.unsaved),
            checks_changed: self.timers.take_checks_changed(),
            deadline_changed: self.timers.take_deadline_changed(),
        }
    }
}
