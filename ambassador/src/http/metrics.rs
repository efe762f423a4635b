//! What one proxy counts. Each worker has its own, as all [counters](crate::counters).

use discovery::{TryError, tries::TryOutcome};

use crate::counters::Count;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Responses to clients, by the first digit of their status, from 1xx on. Those made by the proxy included.
    pub(crate) responses: [Count; 5],
    /// Made by the proxy, because the request can't be forwarded: 4xx, 501 and 505.
    pub(crate) refused: Count,
    /// Made by the proxy, because no instance answered: 502, 503 and 504.
    pub(crate) failed: Count,
    /// Cut off, because the instance did not send all of it.
    pub(crate) broken: Count,
    pub(crate) tries: FailedTries,
    /// Connections opened to instances.
    pub(crate) opened: Count,
    /// Requests sent on a connection that had been used before.
    pub(crate) reused: Count,
    /// Connections upgraded to another protocol.
    pub(crate) upgraded: Count,
}

/// Tries that failed, by reason.
#[derive(Debug, Default)]
pub(crate) struct FailedTries {
    /// No connection to the instance.
    pub(crate) not_connected: Count,
    /// The connection was closed before the head of the response.
    pub(crate) closed: Count,
    /// No answer in time.
    pub(crate) late: Count,
    /// The response was not HTTP.
    pub(crate) garbled: Count,
    /// It was another service, or it is shutting down.
    pub(crate) elsewhere: Count,
    /// It answered 429, 502, 503 or 504.
    pub(crate) answered: Count,
}

impl Metrics {
    pub(super) fn response(&self, status: u16) {
        if let Some(count) = self.responses.get((status / 100).saturating_sub(1) as usize) {
            count.add(1);
        }
    }

    pub(super) fn failed_try(&self, outcome: &TryOutcome) {
        let FailedTries { not_connected, closed, late, garbled, elsewhere, answered } = &self.tries;
        let count = match (outcome, outcome.why()) {
            (TryOutcome::NotConnected(_), _) => not_connected,
            (_, TryError::Closed) => closed,
            (_, TryError::Garbled | TryError::HeadTooLong) => garbled,
            (_, TryError::OtherService | TryError::Leaving) => elsewhere,
            (_, TryError::Answered(_)) => answered,
            _ => late,
        };
        count.add(1);
    }
}
