//! `/v1/catalog/...`: from requests to lookups.

use super::{
    lookup::{Empty, Lookup},
    reply::{Failure, Later, later},
    request::Request,
};
use crate::state::State;

pub(crate) fn datacenters(request: &Request<'_>, _: &State) -> Result<Later, Failure> {
    Ok(later([request.identity.datacenter.clone()], request.style))
}

pub(crate) fn nodes(request: &Request<'_>) -> Result<Lookup, Failure> {
    Ok(if request.node_fits() { Lookup::Nodes } else { Lookup::Nothing(Empty::List) })
}

pub(crate) fn services(request: &Request<'_>) -> Result<Lookup, Failure> {
    Ok(if request.node_fits() { Lookup::Services } else { Lookup::Nothing(Empty::Map) })
}

pub(crate) fn service(request: &Request<'_>) -> Result<Lookup, Failure> {
    let name = request.name("service")?;
    if !request.node_fits() {
        return Ok(Lookup::Nothing(Empty::List));
    }
    Ok(Lookup::Service { name, tags: request.tags() })
}

pub(crate) fn node(request: &Request<'_>) -> Result<Lookup, Failure> {
    let known = request.is_node(&request.name("node")?);
    Ok(if known { Lookup::Node } else { Lookup::Nothing(Empty::Null) })
}
