//! Topics: what a blocking query can wait for, and the index of each.
//!
//! Every change takes the next index; the index of a topic is that of its last change. A name without instances has the index at which a name
//! last lost its last instance, as in Consul ("last extinction"): it never decreases, and changes of other services never wake its watchers.

use std::collections::{BTreeSet, HashMap};

use consul_wire::check::CheckStatus;

/// The first index: above 0 and 1, which Consul's clients take for "none".
pub(super) const FIRST: u64 = 10;

/// A topic: an answer that can be waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topic {
    /// `/v1/catalog/nodes`.
    Nodes,
    /// `/v1/catalog/services`.
    Services,
    /// `/v1/catalog/node/:node`.
    Node,
    /// `/v1/catalog/service/:name`, by name in lower case.
    Instances(String),
    /// `/v1/health/service/:name`, by name in lower case.
    Health(String),
    /// `/v1/health/checks/:name`, by name in lower case.
    Checks(String),
    /// `/v1/health/node/:node`.
    NodeChecks,
    /// `/v1/health/state/:status`.
    Status(CheckStatus),
    /// `/v1/health/state/any`.
    AnyStatus,
    /// `/v1/agent/service/:id`.
    Agent(String),
    /// For an unknown node or status: never changes.
    Nothing,
}

/// The index of each topic, and which topics changed since they were last taken.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    index: u64,
    /// Whether the current change has its index already.
    advanced: bool,
    last_extinction: u64,
    by_topic: HashMap<Topic, u64>,
    changed: BTreeSet<Topic>,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            index: FIRST,
            advanced: false,
            last_extinction: FIRST,
            by_topic: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl Topics {
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    pub(crate) fn index_of(&self, topic: &Topic) -> u64 {
        self.by_topic.get(topic).copied().unwrap_or(self.last_extinction)
    }

    /// Continues from this index instead of a low one, so that the indexes of a client that knew the agent before a restart continue to rise.
    pub(crate) fn start_at(&mut self, index: u64) {
        self.index = self.index.max(index);
        self.last_extinction = self.last_extinction.max(index);
        for at in self.by_topic.values_mut() {
            *at = (*at).max(index);
        }
    }

    /// The index of the current change: the next one, for any number of topics.
    pub(crate) fn advance(&mut self) -> u64 {
        if !self.advanced {
            self.advanced = true;
            self.index += 1;
        }
        self.index
    }

    /// The answer changes with the current change.
    pub(crate) fn touch(&mut self, topic: Topic) {
        let index = self.advance();
        self.by_topic.insert(topic.clone(), index);
        self.changed.insert(topic);
    }

    /// The answer changes, and has no index: its waiters compare hashes.
    pub(crate) fn touch_unindexed(&mut self, topic: Topic) {
        self.changed.insert(topic);
    }

    /// The last instance of this name is removed: its topics get the index of the last extinction, which is now.
    pub(crate) fn extinguish(&mut self, name: &str) {
        self.last_extinction = self.index;
        for topic in [
            Topic::Instances(name.to_owned()),
            Topic::Health(name.to_owned()),
            Topic::Checks(name.to_owned()),
        ] {
            self.by_topic.remove(&topic);
        }
    }

    /// Ends the current change: the topics that it touched.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<Topic> {
        self.advanced = false;
        std::mem::take(&mut self.changed)
    }
}
