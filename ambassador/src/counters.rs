//! What a worker counts for a route. Each worker has its own, so that counting never shares a cache line; a scrape adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::udp;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counts of one route on one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// Connections that were accepted, the refused ones included.
    pub(crate) accepted: Count,
    /// Refused at the limit of the route.
    pub(crate) over_route_limit: Count,
    /// Refused at the limit of all routes.
    pub(crate) over_total_limit: Count,
    /// Reset because no instance accepted.
    pub(crate) not_connected: Count,
    /// Connections to instances that broke or closed without a byte.
    pub(crate) broken: Count,
    /// Cut: idle for too long, or above the time to linger.
    pub(crate) cut: Count,
    /// Bytes from clients to instances.
    pub(crate) to_instances: Count,
    /// Bytes from instances to clients.
    pub(crate) to_clients: Count,
    /// For UDP routes.
    pub(crate) udp: udp::Counts,
    /// For HTTP routes.
    pub(crate) http: crate::http::Metrics,
}
