//! What a watch publishes before its first answer, as a pure state machine: when Consul fails or is slow, the snapshot from disk.
//!
//! The first failure is held until the file is read, so that it and the snapshot are published together: a caller that waits for the first
//! notice does not see a failure without instances. It is not held for longer than an answer may take ([`Event::Late`]).

use crate::{Error, Snapshot, watch::machine::Notice};

/// An input.
#[derive(Debug)]
pub(super) enum Event {
    /// The watch has a notice.
    Notice(Notice),
    /// The time for a first answer is over, as this error says. Happens once.
    Late(Error),
    /// The file was read: the snapshot in it, if that can be used. Happens once.
    Read(Option<Snapshot>),
}

/// An effect.
#[derive(Debug)]
pub(super) enum Publication {
    /// What is published without a snapshot on disk too.
    Notice(Notice),
    /// The snapshot from disk, since there is no answer of Consul yet, as this error says.
    Recalled(Snapshot, Error),
}

/// The state until the first answer.
#[derive(Debug)]
pub(super) enum Opening {
    /// The file is being read. `failure` is that of the last query; `late` is set when the time for an answer is over.
    Reading { failure: Option<Error>, late: Option<Error> },
    /// Consul has neither failed nor is it late, and this can be published.
    Ready(Snapshot),
    /// The disk has no part in it any more: notices are passed on.
    Over,
}

impl Opening {
    pub(super) const fn new() -> Self {
        Self::Reading { failure: None, late: None }
    }

    /// What is to be published now.
    pub(super) fn step(&mut self, event: Event) -> Option<Publication> {
        let failed = |error| Publication::Notice(Notice::Failure(error));
        let (next, publication) = match (std::mem::replace(self, Self::Over), event) {
            (Self::Reading { late, .. }, Event::Notice(Notice::Failure(error))) => {
                let publication = late.is_some().then(|| failed(error.clone()));
                (Self::Reading { failure: Some(error), late }, publication)
            }
            (Self::Reading { failure, .. }, Event::Late(error)) => {
                let publication = failure.clone().map(failed);
                (Self::Reading { failure, late: Some(error) }, publication)
            }
            (Self::Reading { failure, late }, Event::Read(Some(snapshot))) => {
                match failure.or(late) {
                    Some(error) => (Self::Over, Some(Publication::Recalled(snapshot, error))),
                    None => (Self::Ready(snapshot), None),
                }
            }
            (Self::Reading { failure, late: None }, Event::Read(None)) => {
                (Self::Over, failure.map(failed))
            }
            (Self::Ready(snapshot), Event::Notice(Notice::Failure(error)) | Event::Late(error)) => {
                (Self::Over, Some(Publication::Recalled(snapshot, error)))
            }
            (Self::Ready(snapshot), Event::Read(_)) => (Self::Ready(snapshot), None),
            (_, Event::Notice(notice)) => (Self::Over, Some(Publication::Notice(notice))),
            (Self::Reading { .. } | Self::Over, Event::Late(_) | Event::Read(_)) => {
                (Self::Over, None)
            }
        };
        *self = next;
        publication
    }
}

#[cfg(test)]
mod tests;
