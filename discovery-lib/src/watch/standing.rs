//! The standing questions of one program: one for each service and way of finding it, however many ask.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{
    carry::{Source, carry},
    catalog::Catalog,
    dns::{Dns, Server},
    fixed,
    handle::{Asker, Question, Watch},
    machine::Tell,
    publish::Publisher,
    resolve::Resolve,
    seats::Seats,
    snapshot::Origin,
};
use crate::{DnsAddress, agent::AgentClient};

/// The standing questions of one program. Cheap to clone; clones share them.
///
/// Two that were made apart are strangers: each asks for itself.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    agent: AgentClient,
    dns: Arc<Server>,
    datacenter: Option<String>,
    seats: Arc<Seats>,
    questions: Mutex<Questions>,
}

/// By where the answers come from, and service.
type Questions = HashMap<(Origin, Arc<str>), Weak<Question>>;

impl Standing {
    /// Questions for this agent, and for this DNS server. `datacenter`: none for the agent's own. Asks nothing yet.
    pub(crate) fn new(agent: AgentClient, dns: DnsAddress, datacenter: Option<String>) -> Self {
        let dns = Arc::new(Server::new(dns));
        let (seats, questions) = (Arc::new(Seats::new()), Mutex::default());
        Self { inner: Arc::new(Inner { agent, dns, datacenter, seats, questions }) }
    }

    /// A watch of a service. The first one starts to ask, others share its question, and it ends with the last one that is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn watch(&self, service: &str, resolve: &Resolve) -> Watch {
        let inner = &self.inner;
        match resolve {
            Resolve::Catalog => self.shared(service, |service| Catalog {
                agent: inner.agent.clone(),
                seats: inner.seats.clone(),
                service,
                datacenter: inner.datacenter.clone(),
            }),
            Resolve::Dns => self.shared(service, |service| Dns {
                server: inner.dns.clone(),
                service,
                datacenter: inner.datacenter.clone(),
            }),
            Resolve::Fixed(places) => {
                let service = Arc::from(service);
                let snapshot = fixed::snapshot(&service, places, Instant::now());
                let (publisher, watched_rx) = Publisher::new(service);
                publisher.tell(Tell::Publish(snapshot));
                Watch::of(Arc::new(Question::new(watched_rx, Asker::Nobody(publisher))))
            }
        }
    }

    /// The question that stands already, or a new one. Those that ended are swept out whenever one is added.
    fn shared<S: Source>(&self, service: &str, source: impl FnOnce(Arc<str>) -> S) -> Watch {
        let mut questions = self.inner.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (S::ORIGIN, Arc::<str>::from(service));
        if let Some(question) = questions.get(&key).and_then(Weak::upgrade) {
            return Watch::of(question);
        }
        questions.retain(|_, question| question.strong_count() > 0);
        let (publisher, watched_rx) = Publisher::new(key.1.clone());
        let task = tokio::spawn(carry(source(key.1.clone()), publisher));
        let asker = Asker::Task(AbortOnDropHandle::new(task));
        let question = Arc::new(Question::new(watched_rx, asker));
        questions.insert(key, Arc::downgrade(&question));
        Watch::of(question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentSettings;

    fn standing() -> Standing {
        let agent = AgentClient::new(AgentSettings::default()).unwrap();
        Standing::new(agent, DnsAddress::default(), None)
    }

    fn alive(standing: &Standing) -> usize {
        let questions = standing.inner.questions.lock().unwrap();
        questions.values().filter(|question| question.strong_count() > 0).count()
    }

    #[tokio::test]
    async fn one_question_stands_however_many_ask() {
        let standing = standing();
        let first = standing.watch("web", &Resolve::Catalog);
        let watches = [first.clone(), standing.watch("web", &Resolve::Catalog), first];
        assert_eq!(alive(&standing), 1);
        let others =
            [standing.watch("web", &Resolve::Dns), standing.watch("db", &Resolve::Catalog)];
        assert_eq!(alive(&standing), 3);
        drop((watches, others));
        assert_eq!(alive(&standing), 0);
    }

    #[tokio::test]
    async fn a_question_ends_with_its_last_watch_and_can_stand_again() {
        let standing = standing();
        let watch = standing.watch("web", &Resolve::Catalog);
        let mut subscribed = watch.subscribe();
        drop(watch.clone());
        assert!(subscribed.has_changed().is_ok(), "a clone is left");
        drop(watch);
        while subscribed.changed().await.is_ok() {}
        let again = standing.watch("web", &Resolve::Catalog);
        assert!(again.subscribe().has_changed().is_ok());
    }

    #[tokio::test]
    async fn questions_that_ended_are_swept_out() {
        let standing = standing();
        for service in 0..100 {
            drop(standing.watch(&service.to_string(), &Resolve::Catalog));
        }
        assert_eq!(standing.inner.questions.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_fixed_list_is_known_at_once_and_never_changes() {
        let mut watch = standing().watch("web", &"fixed:10.0.0.1:80".parse().unwrap());
        let watched = watch.changed().await.unwrap();
        assert_eq!(watched.snapshot.unwrap().instances.len(), 1);
        let more = tokio::time::timeout(std::time::Duration::from_millis(10), watch.changed());
        assert!(more.await.is_err());
    }
}
