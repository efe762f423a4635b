//! `/v1/status/...`, and what does not exist.

use http::StatusCode;

use super::{
    query::refuse_elsewhere,
    reply::{Failure, Later, later},
    request::Request,
};
use crate::state::State;

pub(crate) fn leader(request: &Request<'_>, _: &State) -> Result<Later, Failure> {
    refuse_elsewhere(&request.query, &request.identity.datacenter)?;
    Ok(later(server(request), request.style))
}

pub(crate) fn peers(request: &Request<'_>, _: &State) -> Result<Later, Failure> {
    refuse_elsewhere(&request.query, &request.identity.datacenter)?;
    Ok(later([server(request)], request.style))
}

pub(crate) fn no_acl() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "ACL support disabled")
}

fn server(request: &Request<'_>) -> String {
    request.identity.server_address()
}
