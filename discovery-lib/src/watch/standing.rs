//! The standing questions of one program: one for each service and way of finding it, however many ask.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    carry::{Source, carry},
    catalog::Catalog,
    dns::{Dns, Server},
    fixed,
    handle::{Question, Watch},
    machine::Tell,
    odd::Odd,
    permits::Permits,
    publish::Publisher,
    resolve::Resolve,
    snapshot::{Origin, Snapshot},
};
use crate::{
    DnsAddress, Error,
    agent::AgentClient,
    lifetime::{Background, make_room},
};

/// Questions that may linger. Beyond that the one that nothing has held for the longest time ends early; those that are held don't count.
pub(crate) const LINGERING_MAX: usize = 256;

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
    permits: Arc<Permits>,
    questions: Mutex<Questions>,
}

/// By where the answers come from, and service.
type Questions = HashMap<(Origin, Arc<str>), Arc<Question>>;

impl Standing {
    /// Questions for this agent, and for this DNS server. `datacenter`: none for the agent's own. Asks nothing yet.
    pub(crate) fn new(agent: AgentClient, dns: DnsAddress, datacenter: Option<String>) -> Self {
        let dns = Arc::new(Server::new(dns));
        let (permits, questions) = (Arc::new(Permits::new()), Mutex::default());
        Self { inner: Arc::new(Inner { agent, dns, datacenter, permits, questions }) }
    }

    /// A watch of a service. The first one starts to ask, others share its question, and when the last one is dropped that lingers so long.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it has to start.
    pub(crate) fn watch(&self, service: &str, resolve: &Resolve, linger: Duration) -> Watch {
        match resolve {
            Resolve::Catalog => self.shared(service, |service| self.catalog(service), linger),
            Resolve::Dns => self.shared(service, |service| self.dns(service), linger),
            Resolve::Fixed(places) => {
                let (service, places) = (Arc::<str>::from(service), places.clone());
                let asking = Background::new(
                    move || {
                        let (publisher, watched_rx) = Publisher::new(service.clone());
                        let snapshot = fixed::snapshot(&service, &places, Instant::now());
                        publisher.tell(Tell::Publish(snapshot));
                        let silence = async move {
                            std::future::pending::<()>().await;
                            drop(publisher);
                        };
                        (watched_rx, Box::pin(silence))
                    },
                    || {},
                );
                Watch::of(Arc::new(Question { asking }), Duration::ZERO)
            }
        }
    }

    /// Asks once, without waiting for a change: nothing stands or lingers.
    ///
    /// # Errors
    /// Nothing answered (in time), or the answer makes no sense.
    pub(crate) async fn ask(&self, service: &str, resolve: &Resolve) -> Result<Snapshot, Error> {
        let service = Arc::<str>::from(service);
        match resolve {
            Resolve::Catalog => ask_once(self.catalog(service)).await,
            Resolve::Dns => ask_once(self.dns(service)).await,
            Resolve::Fixed(places) => Ok(fixed::snapshot(&service, places, Instant::now())),
        }
    }

    /// Whom a question that is resolved so asks, for errors.
    pub(crate) fn whom(&self, resolve: &Resolve) -> String {
        let service = Arc::<str>::from("");
        match resolve {
            Resolve::Catalog => self.catalog(service).whom(),
            Resolve::Dns => self.dns(service).whom(),
            Resolve::Fixed(_) => "a fixed list".to_owned(),
        }
    }

    fn catalog(&self, service: Arc<str>) -> Catalog {
        let Inner { agent, permits, datacenter, .. } = &*self.inner;
        let (agent, permits, datacenter) = (agent.clone(), permits.clone(), datacenter.clone());
        Catalog { agent, permits, service, datacenter, odd: Odd::default() }
    }

    fn dns(&self, service: Arc<str>) -> Dns {
        let Inner { dns, datacenter, .. } = &*self.inner;
        Dns { server: dns.clone(), service, datacenter: datacenter.clone(), odd: Odd::default() }
    }

    /// The question that stands already, or a new one. Those that ended are swept out whenever one is added.
    fn shared<S: Source + Clone>(
        &self,
        service: &str,
        source: impl FnOnce(Arc<str>) -> S,
        linger: Duration,
    ) -> Watch {
        let mut questions = self.inner.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (S::ORIGIN, Arc::<str>::from(service));
        if let Some(question) = questions.get(&key) {
            return Watch::of(question.clone(), linger);
        }
        make_room(&mut questions, LINGERING_MAX, |question| question.asking.standing());
        let source = source(key.1.clone());
        let service = key.1.clone();
        let asking = Background::new(
            move || {
                let (publisher, watched_rx) = Publisher::new(service.clone());
                (watched_rx, Box::pin(carry(source.clone(), publisher)))
            },
            || {},
        );
        let question = Arc::new(Question { asking });
        let watch = Watch::of(question.clone(), linger);
        questions.insert(key, question);
        watch
    }
}

async fn ask_once<S: Source>(source: S) -> Result<Snapshot, Error> {
    let reply = source.ask(None).await?;
    let now = Instant::now();
    Ok(reply.into_snapshot(S::ORIGIN, now))
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::{agent::AgentSettings, lifetime::LINGER};

    fn standing() -> Standing {
        let agent = AgentClient::new(AgentSettings::default()).unwrap();
        Standing::new(agent, DnsAddress::default(), None)
    }

    fn watch(standing: &Standing, service: &str) -> Watch {
        standing.watch(service, &Resolve::Catalog, LINGER)
    }

    /// How many are asked now.
    fn asked(standing: &Standing) -> usize {
        let questions = standing.inner.questions.lock().unwrap();
        questions.values().filter(|question| question.asking.is_running()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_stands_however_many_ask() {
        let standing = standing();
        let first = watch(&standing, "web");
        let watches = [first.clone(), watch(&standing, "web"), first];
        assert_eq!(asked(&standing), 1);
        let others = [standing.watch("web", &Resolve::Dns, LINGER), watch(&standing, "db")];
        assert_eq!(asked(&standing), 3);
        drop((watches, others));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_lingers_after_its_last_watch_and_can_stand_again() {
        let standing = standing();
        let first = watch(&standing, "web");
        let mut subscribed = first.subscribe();
        drop(first.clone());
        sleep(LINGER * 2).await;
        assert!(subscribed.has_changed().is_ok(), "a clone is left");
        drop(first);
        sleep(LINGER / 2).await;
        drop(watch(&standing, "web"));
        sleep(LINGER - Duration::from_secs(1)).await;
        assert_eq!(asked(&standing), 1, "it was used again");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(asked(&standing), 0);
        while subscribed.changed().await.is_ok() {}
        let again = watch(&standing, "web");
        assert!(again.subscribe().has_changed().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_linger_are_bounded_and_those_in_use_stay() {
        let standing = standing();
        let names: Vec<_> = (0..LINGERING_MAX + 10).map(|number| format!("held{number}")).collect();
        let held: Vec<_> = names.iter().map(|name| watch(&standing, name)).collect();
        for number in 0..LINGERING_MAX * 2 {
            drop(watch(&standing, &number.to_string()));
        }
        assert_eq!(standing.inner.questions.lock().unwrap().len(), held.len() + LINGERING_MAX);
        sleep(LINGER * 2).await;
        assert_eq!(asked(&standing), held.len());
        drop(watch(&standing, "one more"));
        assert_eq!(standing.inner.questions.lock().unwrap().len(), held.len() + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_ends_with_the_program_that_asks_it() {
        let standing = standing();
        let mut subscribed = watch(&standing, "web").subscribe();
        drop(standing);
        while subscribed.changed().await.is_ok() {}
    }

    #[tokio::test]
    async fn a_fixed_list_is_known_at_once_and_never_changes() {
        let fixed = "fixed:10.0.0.1:80".parse().unwrap();
        let mut watch = standing().watch("web", &fixed, LINGER);
        let watched = watch.changed().await;
        assert_eq!(watched.snapshot.unwrap().instances.len(), 1);
        assert!(timeout(Duration::from_millis(10), watch.changed()).await.is_err());
    }
}
