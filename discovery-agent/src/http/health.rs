//! `/v1/health/...`: what is asked.

use consul_wire::check::CheckStatus;

use super::{
    question::{Empty, Question},
    reply::Failure,
    request::Request,
};

pub(crate) fn service(request: &Request<'_>) -> Result<Question, Failure> {
    let name = request.name("service")?;
    let passing = request.query.passing()?;
    if !request.node_fits() {
        return Ok(Question::Nobody(Empty::List));
    }
    Ok(Question::Health { name, tags: request.tags(), passing })
}

pub(crate) fn checks(request: &Request<'_>) -> Result<Question, Failure> {
    let name = request.name("service")?;
    let fits = request.node_fits();
    Ok(if fits { Question::Checks { name } } else { Question::Nobody(Empty::List) })
}

pub(crate) fn node(request: &Request<'_>) -> Result<Question, Failure> {
    let known = request.is_node(&request.name("node")?);
    Ok(if known { Question::NodeChecks } else { Question::Nobody(Empty::List) })
}

pub(crate) fn state(request: &Request<'_>) -> Result<Question, Failure> {
    if !request.node_fits() {
        return Ok(Question::Nobody(Empty::List));
    }
    Ok(match request.subject.as_str() {
        "" => return Err(Failure::bad("Missing check state")),
        "any" => Question::AnyStatus,
        "passing" => Question::Status(CheckStatus::Passing),
        "warning" => Question::Status(CheckStatus::Warning),
        "critical" => Question::Status(CheckStatus::Critical),
        _ => Question::Nobody(Empty::List),
    })
}
