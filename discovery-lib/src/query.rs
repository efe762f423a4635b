//! The conditions of a lookup: one value that names a service and narrows its instances. It is the key of watches and pools.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::Source;

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
}

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
        ];
        let keys: HashSet<_> = queries.iter().collect();
        assert_eq!(keys.len(), queries.len());
        assert!(keys.contains(&web().tag("b").tag("a").tag("b")));
        assert!(keys.contains(&Query::from(&"web".to_owned())));
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
