//! What the agent knows, as a pure machine: no socket, no clock, no `async`. It is told what happens and when ([`State::apply`],
//! [`State::expire`]) and says what changed ([`Effects`]); others carry requests in and answers out.
//!
//! It plays both halves of a Consul that is alone on its machine: the agent, which knows its own services and checks, and the catalog, which
//! everybody asks. Between the two there is one delay, and it is Consul's: the output of a check whose status stays as it was reaches the
//! catalog late (`PUBLISH_DELAY`), so that beats do not wake everybody.

mod catalog;
mod check;
mod command;
mod health;
mod maintenance;
mod node;
mod saved;
mod service;
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
        ServiceDefinition, Subject, TcpCheck,
    },
    health::Aggregate,
    node::{Identity, SERVER_SERVICE, VERSION, member, wan_member},
    saved::Saved,
    topic::Topic,
};
use self::{timer::Timers, topic::Topics};

/// Everything that an agent knows.
#[derive(Debug, Clone)]
pub(crate) struct State {
    node: Node,
    /// By id, exactly as written.
    services: BTreeMap<String, Service>,
    /// Ids by name in lower case: Consul finds names without regard to case.
    names: BTreeMap<String, BTreeSet<String>>,
    /// By id, exactly as written.
    checks: BTreeMap<String, Check>,
    /// Ids of checks by the id of their service; those of the node itself by an empty one.
    check_ids: BTreeMap<String, BTreeSet<String>>,
    topics: Topics,
    timers: Timers,
    /// What a restart must not lose of what changed since it was last asked.
    unsaved: Unsaved,
}

/// How much it matters that a change is on disk. The greater one counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaved {
    #[default]
    Nothing,
    /// How a check stands. The next beat puts right what is lost of it.
    Beat,
    /// What there is. Nobody says it again, so who asked for it is answered once it is on disk.
    Registration,
}

/// What a change brings about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Whose answer is another now: who waits for one of these is woken.
    pub(crate) changed: BTreeSet<Topic>,
    /// What a restart must not lose of it.
    pub(crate) unsaved: Unsaved,
    /// Checks that must run now, or must not any more: see [`State::targets`].
    pub(crate) retargeted: bool,
    /// The next deadline may be sooner than it was.
    pub(crate) hastened: bool,
}

impl State {
    /// The state of an agent that has just started, with nothing registered.
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

    /// Does what is asked, or refuses it whole.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why, in Consul's words; nothing has changed then.
    pub(crate) fn apply(&mut self, command: Command, now: Instant) -> Result<Effects, Refusal> {
        match command {
            Command::RegisterService { service, checks, replace } => {
                self.register_service(service, checks, replace, now)?;
            }
            Command::DeregisterService(id) => self.deregister_service(&id)?,
            Command::RegisterCheck(check) => self.register_check(check, now)?,
            Command::DeregisterCheck(id) => self.deregister_check(&id)?,
            Command::Beat { check, status, output } => self.beat(&check, status, output, now)?,
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

    /// The index of an answer: what `X-Consul-Index` says. It never goes down, and goes up whenever the answer changes.
    pub(crate) fn index_of(&self, topic: &Topic) -> u64 {
        self.topics.index_of(topic)
    }

    /// The index of the last change of anything.
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

    /// A restart must not lose what changed.
    fn must_save(&mut self, unsaved: Unsaved) {
        self.unsaved = self.unsaved.max(unsaved);
    }

    fn take_effects(&mut self) -> Effects {
        Effects {
            changed: self.topics.take_changed(),
            unsaved: std::mem::take(&mut self.unsaved),
            retargeted: self.timers.take_retargeted(),
            hastened: self.timers.take_hastened(),
        }
    }
}
