//! A request, read: its subject, its query, its body.

use bytes::Bytes;

use consul_wire::query::TAG;

use super::{
    caller::Caller,
    query::Query,
    reply::{Failure, Style},
};
use crate::state::Identity;

/// What a route is asked.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// What follows the route's path, decoded.
    pub(crate) subject: String,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
    pub(crate) style: Style,
    pub(crate) identity: &'a Identity,
    pub(crate) caller: &'a Caller,
}

impl Request<'_> {
    /// The subject, which must be there.
    pub(crate) fn name(&self, what: &str) -> Result<String, Failure> {
        if self.subject.is_empty() {
            return Err(Failure::bad(format!("Missing {what} name")));
        }
        Ok(self.subject.clone())
    }

    /// Consul takes the tags that it is asked for as one set, whatever their order.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.query.all(TAG).map(str::to_owned).collect()
    }

    pub(crate) fn is_node(&self, name: &str) -> bool {
        self.identity.node_name.eq_ignore_ascii_case(name)
    }

    /// Whether the node's meta has all that `?node-meta` names: the one node has nothing of its own but Consul's.
    pub(crate) fn node_fits(&self) -> bool {
        self.query
            .all("node-meta")
            .all(|pair| matches!(pair, "consul-network-segment:" | "consul-network-segment"))
    }
}
