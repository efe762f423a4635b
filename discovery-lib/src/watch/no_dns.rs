//! In place of `dns` without the feature `dns`: a DNS source is an error.

use std::sync::Arc;

use super::machine::Reply;
use crate::{DnsAddress, Error, Query, error::Kind};

/// No DNS server is ever used.
#[derive(Debug)]
pub(super) struct DnsServer;

/// There is none.
#[derive(Debug, Clone)]
pub(super) enum Dns {}

impl DnsServer {
    pub(super) fn new(_: DnsAddress) -> Self {
        Self
    }
}

impl Dns {
    /// # Errors
    /// Always.
    pub(super) fn new(query: &Query, _: Arc<DnsServer>) -> Result<Self, Error> {
        let service = &query.service;
        let text =
            format!("the query for {service:?}: DNS needs the feature `dns` of discovery-lib");
        Err(Error::new(Kind::Setting, text))
    }

    pub(super) fn endpoint(&self) -> String {
        match *self {}
    }

    pub(super) async fn ask(&self) -> Result<Reply, Error> {
        match *self {}
    }
}
