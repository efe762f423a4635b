//! Questions to the catalog: what is asked, which topic answers it, and the answer.
//!
//! An answer is written once an index and kept, since most of those who ask ask the same.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use consul_wire::{
    catalog::{CatalogService, NodeServices, Services},
    check::{CheckStatus, HealthCheck},
    service::{Node, ServiceEntry},
};

use super::reply::{Body, Style};
use crate::{
    engine::Engine,
    state::{State, Topic},
};

/// How many answers are kept, and of how many bytes in all. When there are more, all are dropped: they are cheap to make again.
const ANSWERS_MAX: usize = 512;
const ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;

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

/// Answers that were given.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By question and style, each with its index.
    answers: HashMap<(Question, Style), (u64, Body)>,
    bytes: usize,
}

/// An answer, and whether it had been given before.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) index: u64,
    pub(crate) body: Body,
    pub(crate) hit: bool,
}

impl Answers {
    /// The answer to a question, now. Who asks the same at the same time waits until it is written, rather than writing it too.
    pub(crate) fn answer(&self, question: &Question, style: Style, engine: &Engine) -> Answer {
        let topic = question.topic();
        let key = (question.clone(), style);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.answers.get(&key);
        let (index, view) = engine.read(|state| {
            let index = state.index_of(&topic);
            let fresh = known.is_some_and(|(at, _)| *at == index);
            (index, (!fresh).then(|| question.look(state)))
        });
        let body = match (view, known) {
            (None, Some((_, body))) => return Answer { index, body: body.clone(), hit: true },
            (view, _) => Body::json(&view, style),
        };
        kept.keep(key, index, body.clone());
        Answer { index, body, hit: false }
    }

    /// After the state was replaced: its indexes start over, and would find answers of its earlier life.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

impl Kept {
    fn keep(&mut self, key: (Question, Style), index: u64, body: Body) {
        let bytes = body.bytes.len();
        if self.answers.len() >= ANSWERS_MAX || self.bytes + bytes > ANSWERS_BYTES_MAX {
            *self = Self::default();
        }
        if bytes > ANSWERS_BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        if let Some((_, old)) = self.answers.insert(key, (index, body)) {
            self.bytes -= old.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { pretty: false, gzip: false };

    fn of(name: usize) -> (Question, Style) {
        (Question::Checks { name: name.to_string() }, STYLE)
    }

    fn body(bytes: usize) -> Body {
        Body { bytes: vec![0; bytes].into(), gzipped: false }
    }

    #[test]
    fn what_is_kept_stays_within_its_limits() {
        let mut kept = Kept::default();
        for name in 0..2 * ANSWERS_MAX {
            kept.keep(of(name), 1, body(100));
            assert!(kept.answers.len() <= ANSWERS_MAX);
        }
        for name in 0..64 {
            kept.keep(of(name), 1, body(1024 * 1024));
            let held: usize = kept.answers.values().map(|(_, body)| body.bytes.len()).sum();
            assert_eq!(held, kept.bytes);
            assert!(held <= ANSWERS_BYTES_MAX);
        }
        kept.keep(of(0), 1, body(ANSWERS_BYTES_MAX + 1));
        assert!(!kept.answers.contains_key(&of(0)), "too long to be kept");
    }

    #[test]
    fn a_newer_answer_takes_the_place_of_the_older() {
        let mut kept = Kept::default();
        kept.keep(of(1), 1, body(100));
        kept.keep(of(1), 2, body(50));
        assert_eq!((kept.bytes, kept.answers.len(), kept.answers[&of(1)].0), (50, 1, 2));
    }
}
