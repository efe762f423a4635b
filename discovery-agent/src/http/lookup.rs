//! Catalog lookups: what is looked up, its topic, and the answer.
//!
//! An answer is encoded once per index and cached, since most clients send the same lookup.

use consul_wire::{
    catalog::{CatalogService, NodeServices, Services},
    check::{CheckStatus, HealthCheck},
    service::{Node, ServiceEntry},
};

use super::reply::{Body, Style};
use crate::{
    cache::Cache,
    engine::Engine,
    state::{State, Topic},
};

/// A lookup in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lookup {
    Nodes,
    Services,
    Service {
        name: String,
        tags: Vec<String>,
    },
    Node,
    Health {
        name: String,
        tags: Vec<String>,
        passing: bool,
    },
    Checks {
        name: String,
    },
    NodeChecks,
    Status(CheckStatus),
    AnyStatus,
    /// For an unknown node, or with a condition that no node meets.
    Nothing(Empty),
}

/// How Consul writes an empty answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Empty {
    List,
    Map,
    Null,
}

impl Lookup {
    pub(crate) fn topic(&self) -> Topic {
        match self {
            Self::Nodes => Topic::Nodes,
            Self::Services => Topic::Services,
            Self::Service { name, .. } => Topic::Instances(name.to_ascii_lowercase()),
            Self::Node => Topic::Node,
            Self::Health { name, .. } => Topic::Health(name.to_ascii_lowercase()),
            Self::Checks { name } => Topic::Checks(name.to_ascii_lowercase()),
            Self::NodeChecks => Topic::NodeChecks,
            Self::Status(status) => Topic::Status(*status),
            Self::AnyStatus => Topic::AnyStatus,
            Self::Nothing(_) => Topic::Nothing,
        }
    }

    /// The current answer.
    fn look(&self, state: &State) -> View {
        match self {
            Self::Nodes => View::Nodes([state.node().clone()]),
            Self::Services => View::Services(state.catalog_services()),
            Self::Service { name, tags } => View::Service(state.catalog_service(name, tags)),
            Self::Node => View::Node(state.catalog_node()),
            Self::Health { name, tags, passing } => {
                View::Health(state.health_service(name, tags, *passing))
            }
            Self::Checks { name } => View::Checks(state.health_checks(name)),
            Self::NodeChecks | Self::AnyStatus => View::Checks(state.health_node()),
            Self::Status(status) => View::Checks(state.health_state(*status)),
            Self::Nothing(Empty::List) => View::Checks(Vec::new()),
            Self::Nothing(Empty::Map) => View::Services(Services::new()),
            Self::Nothing(Empty::Null) => View::Null,
        }
    }
}

/// An answer that is not encoded yet, so that the state is not locked while it is encoded.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
enum View {
    Nodes([Node; 1]),
    Services(Services),
    Service(Vec<CatalogService>),
    Node(NodeServices),
    Health(Vec<ServiceEntry>),
    Checks(Vec<HealthCheck>),
    Null,
}

/// Cached answers by lookup and style, each with its index.
#[derive(Debug, Default)]
pub(crate) struct Answers(Cache<(Lookup, Style), (u64, Body)>);

/// An answer, and whether it came from the cache.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) index: u64,
    pub(crate) body: Body,
    pub(crate) hit: bool,
}

impl Answers {
    /// The current answer to a lookup. It is encoded once for all clients with the same lookup, without a lock on the state.
    pub(crate) fn answer(&self, lookup: &Lookup, style: Style, engine: &Engine) -> Answer {
        let topic = lookup.topic();
        let key = (lookup.clone(), style);
        let slot = self.0.slot(&key);
        let mut known = slot.lock();
        let (index, view) = engine.read(|state| {
            let index = state.index_of(&topic);
            let fresh = known.as_ref().is_some_and(|(at, _)| *at == index);
            (index, (!fresh).then(|| lookup.look(state)))
        });
        let body = match (view, known.as_ref()) {
            (None, Some((_, body))) => return Answer { index, body: body.clone(), hit: true },
            (view, _) => Body::json(&view, style),
        };
        *known = Some((index, body.clone()));
        self.0.weigh(&key, &slot, body.bytes.len());
        Answer { index, body, hit: false }
    }

    /// Clears the cache after the state was replaced: its indexes start over, and would match answers of the old state.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
