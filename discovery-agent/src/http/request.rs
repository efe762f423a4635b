//! A parsed request: its subject, its query, its body.

use bytes::Bytes;

use consul_wire::query::TAG;

use super::{
    caller::Caller,
    query::Query,
    reply::{Failure, Style},
};
use crate::state::Identity;

/// The input of a route.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The part after the path of the route, decoded.
    pub(crate) subject: String,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
    pub(crate) style: Style,
    pub(crate) identity: &'a Identity,
    pub(crate) caller: &'a Caller,
}

impl Request<'_> {
    /// The subject, which is required.
    pub(crate) fn name(&self, what: &str) -> Result<String, Failure> {
        if self.subject.is_empty() {
            return Err(Failure::bad(format!("Missing {what} name")));
        }
        Ok(self.subject.clone())
    }

    /// Consul takes the requested tags as one set: their order does not matter.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.query.all(TAG).map(str::to_owned).collect()
    }

    pub(crate) fn is_node(&self, name: &str) -> bool {
        self.identity.node_name.eq_ignore_ascii_case(name)
    }

    /// Whether the metadata of the node has every pair of `?node-meta`. The node has only what Consul itself sets.
    pub(crate) fn node_fits(&self) -> bool {
        self.query
            .all("node-meta")
            .all(|pair| matches!(pair, "consul-network-segment:" | "consul-network-segment"))
    }
}
