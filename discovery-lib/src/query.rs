//! The conditions of a lookup: one value that names a service and narrows its instances. It is the key of watches and pools.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{Error, Source, error::Kind};

/// The instances that a watch or a pool is about. Plain data: it hashes and compares, and a plain name converts into it.
///
/// Each field narrows the query; a new query selects all instances of a service. DNS and fixed lists can't express every field: a watch of
/// such a query fails at once and names the field ([`Discovery::check`](crate::Discovery::check) returns the same error).
///
/// ```
/// # use discovery::{Query, Source};
/// let query = Query::new("web").tag("v2").datacenter("dc2").source("catalog,dns".parse()?);
/// assert_eq!(&*query.service, "web");
/// assert_ne!(query, Query::from("web"));
/// # Ok::<_, discovery::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use]
pub struct Query {
    /// The name of the service, or the name or id of the prepared query.
    pub service: Arc<str>,
    /// Whether a prepared query is executed. Consul can't wait for its changes, so it is polled. Default: no.
    pub is_prepared: bool,
    /// The source of the answer. None: [`Settings::source`](crate::Settings::source).
    pub source: Option<Source>,
    /// The datacenter that is asked. None: [`Settings::datacenter`](crate::Settings::datacenter), else the agent's own.
    pub datacenter: Option<Arc<str>>,
    /// Tags that an instance must have, all of them. DNS takes one.
    pub tags: BTreeSet<Arc<str>>,
    /// A [filter expression](https://developer.hashicorp.com/consul/api-docs/features/filtering) that Consul evaluates, as
    /// `Service.Meta.zone == "a"`. Catalog only.
    pub filter: Option<Arc<str>>,
    /// Meta that the node of an instance must have. Catalog only.
    pub node_meta: BTreeMap<Arc<str>, Arc<str>>,
    /// The node that instances are sorted by distance to; `_agent` is the agent's own. None: they are sorted by node and id. Catalog only.
    pub near: Option<Arc<str>>,
    /// Which server answers. Default: [`Consistency::Stale`].
    pub consistency: Consistency,
    /// The instances in the answer. Default: [`Include::All`].
    pub include: Include,
    /// The datacenters whose instances are used instead, in this order, while the one that is asked has too few or can't be asked. At most
    /// 8. Not for prepared queries, which have a failover of their own, and fixed lists.
    pub failover: Arc<[Arc<str>]>,
    /// The share of the instances of a datacenter, in percent, that must pass or warn. Default: 0, so one instance is enough.
    pub failover_below: u8,
}

/// The most datacenters of [`Query::failover`].
const FAILOVER_MAX: usize = 8;

/// Which server answers a query of the catalog, and so how fresh the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Consistency {
    /// Any server, also without a leader. The age of the answer is known ([`Snapshot::age`](crate::Snapshot::age)).
    #[default]
    Stale,
    /// The leader. It may be one that was just replaced. Without a leader the query fails.
    Default,
    /// The leader, after a quorum confirmed it: slowest.
    Consistent,
    /// The [cache](https://developer.hashicorp.com/consul/api-docs/features/caching) of the agent, which asks the servers once for all
    /// programs that ask it, and answers also while it can't reach them. The age of the answer is known ([`Snapshot::age`](crate::Snapshot::age)),
    /// but not how far the server was behind. An agent without a cache answers as for [`Consistency::Default`].
    Cached,
}

/// Which instances an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Include {
    /// All of them, so that one that turned critical differs from one that left. (DNS leaves out critical ones.)
    #[default]
    All,
    /// Those whose checks all pass.
    Passing,
}

/// A part of a query that not every source can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Prepared,
    Tag,
    Tags,
    Filter,
    NodeMeta,
    Near,
    Consistency,
    OnlyPassing,
    Failover,
}

impl Query {
    /// All instances of a service.
    pub fn new(service: impl Into<Arc<str>>) -> Self {
        Self {
            service: service.into(),
            is_prepared: false,
            source: None,
            datacenter: None,
            tags: BTreeSet::new(),
            filter: None,
            node_meta: BTreeMap::new(),
            near: None,
            consistency: Consistency::default(),
            include: Include::default(),
            failover: Arc::default(),
            failover_below: 0,
        }
    }

    /// The instances that a [prepared query](https://developer.hashicorp.com/consul/api-docs/query) selects, by its name or id. It may fail
    /// over to other datacenters.
    pub fn prepared(name_or_id: impl Into<Arc<str>>) -> Self {
        Self { is_prepared: true, ..Self::new(name_or_id) }
    }

    /// With this source.
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// In this datacenter.
    pub fn datacenter(mut self, datacenter: impl Into<Arc<str>>) -> Self {
        self.datacenter = Some(datacenter.into());
        self
    }

    /// Instances with one more tag.
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tags.insert(tag.into());
        self
    }

    /// Instances that this expression selects.
    pub fn filter(mut self, expression: impl Into<Arc<str>>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// Instances on nodes that have this meta too.
    pub fn node_meta(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.node_meta.insert(key.into(), value.into());
        self
    }

    /// Sorted by distance to this node.
    pub fn near(mut self, node: impl Into<Arc<str>>) -> Self {
        self.near = Some(node.into());
        self
    }

    /// Answered by this server.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Instances whose checks all pass.
    pub fn only_passing(mut self) -> Self {
        self.include = Include::Passing;
        self
    }

    /// With the instances of the first of these datacenters that has enough of them, while the one that is asked has too few.
    ///
    /// A datacenter has enough while at least one of its instances, and at least the share of [`Query::failover_below`], passes or warns. One
    /// whose queries fail counts with its last answer for 10 s. The datacenters before the one that is used are still asked, so a return is as
    /// fast as a failover; those after it are not, so they cost nothing. While none has enough, the one that was used last is used.
    ///
    /// A snapshot has the instances of one datacenter ([`Instance::datacenter`](crate::Instance::datacenter)).
    ///
    /// ```
    /// # use discovery::Query;
    /// let query = Query::new("web").datacenter("dc1").failover(["dc2", "dc3"]).failover_below(50);
    /// ```
    ///
    /// Calls by name with a failover:
    ///
    /// ```
    /// # use discovery::{Client, Discovery, Query, Settings};
    /// let discovery = Discovery::new(Settings::default())?;
    /// let client = Client::new(move |name| discovery.pool(Query::new(name).failover(["dc2"])));
    /// # drop(client);
    /// # Ok::<_, discovery::Error>(())
    /// ```
    pub fn failover<T: Into<Arc<str>>>(mut self, datacenters: impl IntoIterator<Item = T>) -> Self {
        self.failover = datacenters.into_iter().map(Into::into).collect();
        self
    }

    /// With a failover while fewer than this share of the instances of a datacenter, in percent, pass or warn.
    pub fn failover_below(mut self, percent: u8) -> Self {
        self.failover_below = percent;
        self
    }

    /// The queries of its datacenters, in the order of its failover. The first is the query without a failover.
    ///
    /// # Errors
    /// The failover can't be used: names the reason.
    pub(crate) fn by_datacenter(&self) -> Result<Vec<Self>, Error> {
        let Self { service, failover, failover_below, .. } = self;
        let wrong = |text: String| {
            Err(Error::new(
                Kind::Setting,
                format!("the failover of the query for {service:?} {text}"),
            ))
        };
        if failover.len() > FAILOVER_MAX {
            return wrong(format!(
                "has {} datacenters: it takes at most {FAILOVER_MAX}",
                failover.len()
            ));
        }
        if *failover_below > 100 {
            return wrong(format!("begins below {failover_below} %: it takes at most 100 %"));
        }
        let first = Self { failover: Arc::default(), failover_below: 0, ..self.clone() };
        let mut queries = vec![first.clone()];
        for datacenter in failover.iter().map(Some) {
            let query = Self { datacenter: datacenter.cloned(), ..first.clone() };
            if queries.contains(&query) {
                let name = datacenter.map_or("", |name| &**name);
                return wrong(format!(
                    "lists {name:?} twice, or it is the one that is asked first"
                ));
            }
            queries.push(query);
        }
        Ok(queries)
    }

    /// The parts that narrow it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        [
            (self.is_prepared, Part::Prepared),
            (self.tags.len() == 1, Part::Tag),
            (self.tags.len() > 1, Part::Tags),
            (self.filter.is_some(), Part::Filter),
            (!self.node_meta.is_empty(), Part::NodeMeta),
            (self.near.is_some(), Part::Near),
            (self.consistency != Consistency::default(), Part::Consistency),
            (self.include == Include::Passing, Part::OnlyPassing),
            (!self.failover.is_empty(), Part::Failover),
        ]
        .into_iter()
        .filter_map(|(is_set, part)| is_set.then_some(part))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "a prepared query",
            Self::Tag => "a tag",
            Self::Tags => "more than one tag",
            Self::Filter => "a filter",
            Self::NodeMeta => "node meta",
            Self::Near => "near",
            Self::Consistency => "a consistency mode",
            Self::OnlyPassing => "only passing instances",
            Self::Failover => "a failover",
        })
    }
}

impl From<&str> for Query {
    fn from(service: &str) -> Self {
        Self::new(service)
    }
}

impl From<String> for Query {
    fn from(service: String) -> Self {
        Self::new(service)
    }
}

impl From<&String> for Query {
    fn from(service: &String) -> Self {
        Self::new(service.as_str())
    }
}

impl From<Arc<str>> for Query {
    fn from(service: Arc<str>) -> Self {
        Self::new(service)
    }
}

impl From<&Self> for Query {
    fn from(query: &Self) -> Self {
        query.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_field_makes_another_key_and_the_order_of_tags_does_not() {
        let web = || Query::new("web");
        let queries = [
            web(),
            Query::prepared("web"),
            Query::new("db"),
            web().source(Source::Dns),
            web().datacenter("dc2"),
            web().tag("a"),
            web().tag("a").tag("b"),
            web().filter("Service.Port == 80"),
            web().node_meta("zone", "a"),
            web().node_meta("zone", "b"),
            web().near("_agent"),
            web().consistency(Consistency::Consistent),
            web().only_passing(),
            web().failover(["dc2"]),
            web().failover(["dc2"]).failover_below(50),
            web().failover(["dc2", "dc3"]),
        ];
        let keys: HashSet<_> = queries.iter().collect();
        assert_eq!(keys.len(), queries.len());
        assert!(keys.contains(&web().tag("b").tag("a").tag("b")));
        assert!(keys.contains(&Query::from(&"web".to_owned())));
    }

    #[test]
    fn a_failover_is_one_query_a_datacenter() {
        let web = || Query::new("web").tag("v1");
        let queries = |query: Query| query.by_datacenter().map_err(|err| err.to_string());
        assert_eq!(queries(web()).unwrap(), [web()]);
        let failover = web().datacenter("dc1").failover(["dc2", "dc3"]).failover_below(100);
        let expected = ["dc1", "dc2", "dc3"].map(|datacenter| web().datacenter(datacenter));
        assert_eq!(queries(failover).unwrap(), expected);
        let nine = (1..=9).map(|nth| format!("dc{nth}"));
        for (query, reason) in [
            (web().failover(nine), "has 9 datacenters: it takes at most 8"),
            (
                web().failover(["dc2"]).failover_below(101),
                "begins below 101 %: it takes at most 100 %",
            ),
            (
                web().failover(["dc2", "dc2"]),
                "lists \"dc2\" twice, or it is the one that is asked first",
            ),
            (
                web().datacenter("dc1").failover(["dc1"]),
                "lists \"dc1\" twice, or it is the one that is asked first",
            ),
        ] {
            let expected = format!("the failover of the query for \"web\" {reason}");
            assert_eq!(queries(query).unwrap_err(), expected);
        }
    }

    #[test]
    fn parts_are_those_that_narrow_it() {
        let parts = |query: Query| query.parts().collect::<Vec<_>>();
        assert_eq!(parts(Query::new("web").datacenter("dc2").source(Source::Dns)), []);
        assert_eq!(parts(Query::prepared("web").tag("a")), [Part::Prepared, Part::Tag]);
        let narrow = Query::new("web").tag("a").tag("b").near("_agent").only_passing();
        assert_eq!(parts(narrow), [Part::Tags, Part::Near, Part::OnlyPassing]);
    }
}
