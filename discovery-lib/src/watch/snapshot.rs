//! What a watch publishes: always the full set, never a difference, so that a missed one heals with the next.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Error, Instance};

/// Where a snapshot came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Consul's HTTP catalog (`/v1/health/service/:name`).
    Catalog,
    /// Consul's DNS (SRV).
    Dns,
    /// A list that the program was given.
    Fixed,
}

/// The full answer to "who are the instances of this service": all of them, whatever their status, sorted by node and id.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The instances, critical ones and those in maintenance too (DNS leaves them out).
    pub instances: Arc<[Arc<Instance>]>,
    /// Consul's index of the answer; 0 where there is none (DNS, fixed lists).
    pub index: u64,
    /// Where it came from.
    pub origin: Origin,
    /// The moment at which it was surely true: when the answer came, less what the answering server was behind its leader. For an answer that
    /// waited in vain for a change, when the question was sent: what the server says of itself is from then.
    pub as_of: Instant,
}

impl Snapshot {
    /// How old the answer is. It grows while Consul can't be reached, and without limit.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.as_of)
    }
}

/// What is known of a service at a moment: the last good snapshot, if there has been any, and the failure since then, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The last good answer. An error never takes it away.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Why the last question failed; none once an answer came.
    pub failure: Option<Arc<Error>>,
}
