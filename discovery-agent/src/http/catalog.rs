//! `/v1/catalog/...`: what is asked.

use super::{
    question::{Empty, Question},
    reply::{Failure, Later, later},
    request::Request,
};
use crate::state::State;

pub(crate) fn datacenters(request: &Request<'_>, _: &State) -> Result<Later, Failure> {
    Ok(later([request.identity.datacenter.clone()], request.style))
}

pub(crate) fn nodes(request: &Request<'_>) -> Result<Question, Failure> {
    Ok(if request.node_fits() { Question::Nodes } else { Question::Nobody(Empty::List) })
}

pub(crate) fn services(request: &Request<'_>) -> Result<Question, Failure> {
    Ok(if request.node_fits() { Question::Services } else { Question::Nobody(Empty::Map) })
}

pub(crate) fn service(request: &Request<'_>) -> Result<Question, Failure> {
    let name = request.name("service")?;
    if !request.node_fits() {
        return Ok(Question::Nobody(Empty::List));
    }
    Ok(Question::Service { name, tags: request.tags() })
}

pub(crate) fn node(request: &Request<'_>) -> Result<Question, Failure> {
    let known = request.is_node(&request.name("node")?);
    Ok(if known { Question::Node } else { Question::Nobody(Empty::Null) })
}
