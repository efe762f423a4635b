//! Why a request has no response, and whether it was surely not served. A pure function.
//!
//! A server that goes away names the last request that it may serve, and a refused stream was not processed (RFC 9113, 6.8 and 8.7).

use h2::Reason;

use super::super::super::{failed_try::TryError, tries::TryOutcome};

/// The outcome of a request whose stream ended with this error. Unsent: nothing was written on the connection after it.
pub(super) fn outcome(error: &h2::Error, is_unsent: bool) -> TryOutcome {
    let is_remote = error.is_remote();
    match error.reason() {
        _ if is_unsent => TryOutcome::IdleClosed,
        // The h2 crate ends only the streams above the last one that the server named with the error of its GOAWAY.
        Some(_) if is_remote && error.is_go_away() => TryOutcome::IdleClosed,
        Some(Reason::REFUSED_STREAM) if is_remote => {
            TryOutcome::NotConnected(TryError::StreamRefused)
        }
        Some(reason) if is_remote => TryOutcome::no_answer(TryError::Reset(reason.into())),
        Some(_) => TryOutcome::no_answer(TryError::Garbled),
        None => TryOutcome::no_answer(TryError::Closed),
    }
}
