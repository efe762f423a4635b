//! What a read of the catalog asks for besides its path, and what comes back besides its body.

use std::time::Duration;

/// Options of a read.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Wait for a change after this index, at most so long (Consul adds up to a sixteenth). None: answer at once.
    pub after: Option<(u64, Duration)>,
    /// Any server may answer, so that an answer comes without a leader too.
    pub stale: bool,
    /// The datacenter that is asked; the agent's own where none is named.
    pub datacenter: Option<String>,
}

/// A body with what Consul says about it.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was asked for.
    pub body: T,
    /// `X-Consul-Index`; none where the header is missing or no number.
    pub index: Option<u64>,
    /// How far the answering server was behind its leader when the question arrived.
    pub last_contact: Duration,
    /// Whether the answering server knew of a leader when the question arrived.
    pub known_leader: bool,
}
