//! The spans of a call and of each of its tries, at level DEBUG.

use http::Method;
use tracing::{
    Span, debug_span,
    field::{Empty, display},
};

use super::{attempt::Answer, tries::TryOutcome};
use crate::{Instance, Pick};

/// A call of a service.
pub(super) fn call(service: &str, method: &Method) -> Span {
    debug_span!("call", %service, %method)
}

/// A try of a call, on this instance: the first one is number 1. It gets a `status` or an `error`.
pub(super) fn attempt(pick: &Pick, number: usize) -> Span {
    let Instance { service, id, node, .. } = &**pick.instance();
    debug_span!("try", %service, instance = %id, %node, attempt = number, status = Empty, error = Empty)
}

/// What a try brought.
pub(super) fn record(span: &Span, sent: &Result<Answer, TryOutcome>) {
    if span.is_disabled() {
        return;
    }
    match sent {
        Ok((head, _)) => span.record("status", head.status().as_u16()),
        Err(outcome) => span.record("error", display(outcome.why())),
    };
}
