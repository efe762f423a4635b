//! `/v1/health/...`: from requests to lookups.

use consul_wire::check::CheckStatus;

use super::{
    lookup::{Empty, Lookup},
    reply::Failure,
    request::Request,
};

pub(crate) fn service(request: &Request<'_>) -> Result<Lookup, Failure> {
    let name = request.name("service")?;
    let passing = request.query.passing()?;
    if !request.node_fits() {
        return Ok(Lookup::Nothing(Empty::List));
    }
    Ok(Lookup::Health { name, tags: request.tags(), passing })
}

pub(crate) fn checks(request: &Request<'_>) -> Result<Lookup, Failure> {
    let name = request.name("service")?;
    let fits = request.node_fits();
    Ok(if fits { Lookup::Checks { name } } else { Lookup::Nothing(Empty::List) })
}

pub(crate) fn node(request: &Request<'_>) -> Result<Lookup, Failure> {
    let known = request.is_node(&request.name("node")?);
    Ok(if known { Lookup::NodeChecks } else { Lookup::Nothing(Empty::List) })
}

pub(crate) fn state(request: &Request<'_>) -> Result<Lookup, Failure> {
    if !request.node_fits() {
        return Ok(Lookup::Nothing(Empty::List));
    }
    Ok(match request.subject.as_str() {
        "" => return Err(Failure::bad("Missing check state")),
        "any" => Lookup::AnyStatus,
        "passing" => Lookup::Status(CheckStatus::Passing),
        "warning" => Lookup::Status(CheckStatus::Warning),
        "critical" => Lookup::Status(CheckStatus::Critical),
        _ => Lookup::Nothing(Empty::List),
    })
}
