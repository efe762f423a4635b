//! What a worker counts for a UDP route, beside the bytes.

use crate::counters::Count;

/// The counts of one route on one worker.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Datagrams from clients that were sent to instances.
    pub(crate) to_instances: Count,
    /// Datagrams from instances that were sent to clients.
    pub(crate) to_clients: Count,
    /// Sessions that began.
    pub(crate) begun: Count,
    /// Sessions that ended, for any reason.
    pub(crate) ended: Count,
    /// Sessions that ended before their time because there were too many.
    pub(crate) evicted: Count,
    /// Times that a session went to another instance: its own refused, was unreachable, or left.
    pub(crate) moved: Count,
    /// Datagrams of clients without an instance to send them to.
    pub(crate) no_instance: Count,
    /// Datagrams in either direction that the system refused: a full buffer, too large, a client that is unreachable.
    pub(crate) not_sent: Count,
}
