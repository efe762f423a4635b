//! The backends of a query: the catalog, DNS, a fixed list, or several of them in order.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    select,
    time::{Instant, timeout},
};
use tracing::debug;

use super::{
    catalog::Catalog,
    dns::{Dns, DnsServer},
    fixed::Fixed,
    machine::Reply,
    permits::Permits,
    snapshot::Snapshot,
    source::Source,
};
use crate::{
    Error, Query,
    agent::AgentClient,
    error::{Kind, with_causes},
    query::Part,
};

/// A source without an answer for this time is slow, and the next one is queried too. An agent answers within milliseconds; a query to one
/// that hangs fails only after 10 s.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The access to Consul that all watches of a program share.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) agent: AgentClient,
    pub(super) dns: Arc<DnsServer>,
    pub(super) permits: Arc<Permits>,
}

/// The backends of one query, in order. At least one.
#[derive(Debug, Clone)]
pub(super) struct Backends {
    service: Arc<str>,
    backends: Vec<Backend>,
}

#[derive(Debug, Clone)]
enum Backend {
    Catalog(Catalog),
    Dns(Dns),
    Fixed(Fixed),
}

impl Backends {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// One of the sources can't express the query: names the part that it can't.
    pub(super) fn new(query: &Query, reach: &Reach) -> Result<Self, Error> {
        let mut backends = Vec::new();
        add(&mut backends, query.source.as_ref().unwrap_or(&Source::Catalog), query, reach)?;
        if backends.is_empty() {
            let text = format!("the query for {:?} has an empty list of sources", query.service);
            return Err(Error::new(Kind::Setting, text));
        }
        Ok(Self { service: query.service.clone(), backends })
    }

    /// Sends one query: for an answer after this index with this maximum wait, or without a wait. When a backend fails, queries the next
    /// one; when it is slow, queries the next one too and returns the first answer.
    ///
    /// An index belongs to the catalog: the other backends have none.
    ///
    /// # Errors
    /// All failed.
    pub(super) async fn ask(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        query_in_order(&self.service, &self.backends, after).await.map_err(all_failed)
    }

    /// Queries the current state once.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Error> {
        let reply = self.ask(None).await?;
        Ok(reply.into_snapshot(Instant::now()))
    }

    /// The endpoints that it queries, for errors.
    pub(super) fn endpoints(&self) -> String {
        let endpoints: Vec<_> = self.backends.iter().map(Backend::endpoint).collect();
        endpoints.join(" and ")
    }

    /// The snapshot of a fixed list alone, which never changes.
    pub(super) fn fixed(&self) -> Option<Snapshot> {
        match self.backends.first()? {
            Backend::Fixed(fixed) => {
                let now = Instant::now();
                Some(fixed.reply().into_snapshot(now))
            }
            Backend::Catalog(_) | Backend::Dns(_) => None,
        }
    }
}

impl Backend {
    async fn ask(&self, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        match self {
            Self::Catalog(catalog) => catalog.ask(after).await,
            Self::Dns(dns) => dns.ask().await,
            Self::Fixed(fixed) => Ok(fixed.reply()),
        }
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Catalog(catalog) => catalog.endpoint(),
            Self::Dns(dns) => dns.endpoint(),
            Self::Fixed(_) => "a fixed list".to_owned(),
        }
    }
}

/// The errors are in the order of the backends.
type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, Vec<Error>>> + Send + 'a>>;

/// Queries the first of these, and the others when it has failed or is slow.
fn query_in_order<'a>(
    service: &'a str,
    backends: &'a [Backend],
    after: Option<(u64, Duration)>,
) -> Answering<'a> {
    Box::pin(async move {
        let [first, others @ ..] = backends else { return Err(Vec::new()) };
        let mut first = pin!(first.ask(after));
        if others.is_empty() {
            return first.await.map_err(|error| vec![error]);
        }
        let mut others = query_in_order(service, others, after);
        if let Ok(answered) = timeout(next_after(after), first.as_mut()).await {
            return or_of(answered, others, service).await;
        }
        debug!(service, "source is slow; the next one is queried too");
        select! {
            biased;
            answered = &mut first => or_of(answered, others, service).await,
            answered = &mut others => match answered {
                Ok(reply) => Ok(reply),
                Err(errors) => first.await.map_err(|error| in_order(error, errors)),
            },
        }
    })
}

/// The answer of the first backend, or else that of the others.
async fn or_of(
    answered: Result<Reply, Error>,
    others: Answering<'_>,
    service: &str,
) -> Result<Reply, Vec<Error>> {
    match answered {
        Ok(reply) => Ok(reply),
        Err(error) => {
            debug!(
                service,
                error = &error as &dyn std::error::Error,
                "source failed; the next one is queried"
            );
            others.await.map_err(|errors| in_order(error, errors))
        }
    }
}

fn in_order(first: Error, others: Vec<Error>) -> Vec<Error> {
    [vec![first], others].concat()
}

/// The time after which the next source is queried too: [`SLOW_AFTER`], and the wait of a blocking query with Consul's jitter before that.
fn next_after(after: Option<(u64, Duration)>) -> Duration {
    after.map_or(SLOW_AFTER, |(_, wait)| wait + wait / 16 + SLOW_AFTER)
}

fn add(
    backends: &mut Vec<Backend>,
    source: &Source,
    query: &Query,
    reach: &Reach,
) -> Result<(), Error> {
    backends.push(match source {
        Source::Catalog => {
            // Consul ignores these in the execution of a prepared query.
            if query.is_prepared {
                let parts = [Part::Prepared, Part::Near, Part::Consistency, Part::OnlyPassing];
                express(query, "the execution of a prepared query", &parts)?;
            }
            Backend::Catalog(Catalog::new(query, reach))
        }
        Source::Dns => {
            express(query, "DNS", &[Part::Prepared, Part::Tag, Part::Failover])?;
            Backend::Dns(Dns::new(query, reach.dns.clone())?)
        }
        Source::Fixed(addresses) => {
            express(query, "a fixed list", &[Part::Consistency, Part::OnlyPassing])?;
            Backend::Fixed(Fixed::new(query.service.clone(), addresses.clone()))
        }
        Source::FirstOf(sources) => {
            return sources.iter().try_for_each(|source| add(backends, source, query, reach));
        }
    });
    Ok(())
}

/// Whether `by` can express all parts of the query.
fn express(query: &Query, by: &str, parts: &[Part]) -> Result<(), Error> {
    match query.parts().find(|part| !parts.contains(part)) {
        None => Ok(()),
        Some(part) => {
            let text = format!("the query for {:?}: {by} can't express {part}", query.service);
            Err(Error::new(Kind::Setting, text))
        }
    }
}

/// The error of the first one, which names the others.
pub(super) fn all_failed(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let texts: Vec<_> = failures.iter().map(with_causes).collect();
    let kind = failures.first().map_or(Kind::Unreachable, Error::kind);
    Error::new(kind, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Consistency, DnsAddress, agent::AgentSettings};

    #[track_caller]
    fn check(query: Query, source: &str, expected: Result<(), &str>) {
        let reach = Reach {
            agent: AgentClient::new(AgentSettings::default()).unwrap(),
            dns: Arc::new(DnsServer::new(DnsAddress::default())),
            permits: Arc::new(Permits::new()),
        };
        let backends = Backends::new(&query.source(source.parse().unwrap()), &reach);
        assert!(backends.as_ref().err().is_none_or(|err| err.is_setting() && !err.is_retryable()));
        let result = backends.map(drop).map_err(|err| err.to_string());
        assert_eq!(result, expected.map_err(str::to_owned), "{source}");
    }

    #[test]
    fn a_query_that_a_source_can_not_express_is_an_error_that_names_the_part() {
        let web = || Query::new("web");
        let no = |by: &str, part: &str| format!("the query for \"web\": {by} can't express {part}");
        let rows = [
            (web().filter("x"), "dns", no("DNS", "a filter")),
            (web().node_meta("a", "b"), "dns", no("DNS", "node meta")),
            (web().near("_agent"), "dns", no("DNS", "near")),
            (web().tag("a").tag("b"), "dns", no("DNS", "more than one tag")),
            (web().only_passing(), "catalog,dns", no("DNS", "only passing instances")),
            (web().consistency(Consistency::Default), "dns", no("DNS", "a consistency mode")),
            (web().tag("a"), "fixed:a:1", no("a fixed list", "a tag")),
            (
                Query::prepared("web").filter("x"),
                "catalog",
                no("the execution of a prepared query", "a filter"),
            ),
        ];
        for (query, source, error) in &rows {
            check(query.clone(), source, Err(error));
        }
        check(web().consistency(Consistency::Default).only_passing(), "catalog,fixed:a:1", Ok(()));
    }

    #[cfg(feature = "dns")]
    #[test]
    fn dns_can_express_a_tag_a_datacenter_and_a_prepared_query() {
        for query in [
            Query::new("web").tag("a"),
            Query::new("web").datacenter("dc2"),
            Query::prepared("web"),
        ] {
            check(query, "catalog,dns", Ok(()));
        }
        let dns = "the service \"v1.web\" has a name that DNS has no room for";
        check(Query::new("v1.web"), "catalog,dns", Err(dns));
    }

    #[cfg(not(feature = "dns"))]
    #[test]
    fn without_the_feature_a_dns_source_is_an_error_that_names_it() {
        let dns = "the query for \"web\": DNS needs the feature `dns` of discovery-lib";
        for source in ["dns", "catalog,dns"] {
            check(Query::new("web"), source, Err(dns));
        }
    }

    #[test]
    fn when_all_sources_fail_the_error_names_each_and_has_the_kind_of_the_first() {
        let first = Error::new(Kind::Timeout, "first").because("cause");
        let error = all_failed(vec![first, Error::new(Kind::Answer, "second")]);
        assert_eq!(error.to_string(), "first: cause; second");
        assert!(error.is_timeout());
    }
}
