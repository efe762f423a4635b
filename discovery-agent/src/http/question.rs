//! Questions to the catalog: what is asked, which topic answers it, and the answer.
//!
//! An answer is written once an index and kept, since most of those who ask ask the same.

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

/// What can be asked of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
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
    /// About a node that there is not, or with a condition that no node meets.
    Nobody(Empty),
}

/// How Consul writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Empty {
    List,
    Map,
    Null,
}

impl Question {
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
            Self::Nobody(_) => Topic::Nothing,
        }
    }

    /// The answer as it stands.
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
            Self::Nobody(Empty::List) => View::Checks(Vec::new()),
            Self::Nobody(Empty::Map) => View::Services(Services::new()),
            Self::Nobody(Empty::Null) => View::Null,
        }
    }
}

/// An answer before it is written, so that writing it holds nobody up.
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

/// Answers that were given, by question and style, each with its index.
#[derive(Debug, Default)]
pub(crate) struct Answers(Cache<(Question, Style), (u64, Body)>);

/// An answer, and whether it had been given before.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) index: u64,
    pub(crate) body: Body,
    pub(crate) hit: bool,
}

impl Answers {
    /// The answer to a question, now. It is encoded once for all who ask the same, and no lock that others need is held meanwhile.
    pub(crate) fn answer(&self, question: &Question, style: Style, engine: &Engine) -> Answer {
        let topic = question.topic();
        let key = (question.clone(), style);
        let slot = self.0.slot(&key);
        let mut known = slot.lock();
        let (index, view) = engine.read(|state| {
            let index = state.index_of(&topic);
            let fresh = known.as_ref().is_some_and(|(at, _)| *at == index);
            (index, (!fresh).then(|| question.look(state)))
        });
        let body = match (view, known.as_ref()) {
            (None, Some((_, body))) => return Answer { index, body: body.clone(), hit: true },
            (view, _) => Body::json(&view, style),
        };
        *known = Some((index, body.clone()));
        self.0.weigh(&key, &slot, body.bytes.len());
        Answer { index, body, hit: false }
    }

    /// After the state was replaced: its indexes start over, and would find answers of its earlier life.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
