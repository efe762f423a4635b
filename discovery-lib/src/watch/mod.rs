//! Watches: queries that are repeated for as long as they are used.
//!
//! A backend (`catalog`, `dns`, `fixed`) sends a query once; `backends` has those of one query in order. The `machine`, which is pure, decides
//! when to ask and what to make of the answer; `task` connects the two, and `publish` passes on the result. `watches` has one such task per
//! query, and `handle` is what callers hold; `lifetime` decides when a task ends. With a failover, `datacenters` has one such task per datacenter,
//! and `failover`, which is pure, decides whose instances are used. `permits` limits the connections to the agent, and `disk` keeps the last
//! snapshot for the next start. To a pool, a watch is a receiver of snapshots.

mod backends;
mod catalog;
mod changes;
mod datacenters;
mod disk;
#[cfg(feature = "dns")]
mod dns;
#[cfg(not(feature = "dns"))]
#[path = "no_dns.rs"]
mod dns;
mod endpoint;
mod entry;
mod failover;
mod fixed;
mod handle;
mod index;
mod left_out;
pub(crate) mod machine;
pub(crate) mod pace;
mod permits;
mod publish;
mod snapshot;
mod source;
#[cfg(feature = "dns")]
mod srv;
mod task;
mod watches;

pub use changes::Changes;
pub(crate) use disk::Snapshots;
pub use handle::Watch;
pub(crate) use snapshot::Queries;
#[cfg(test)]
pub(crate) use snapshot::Remarks;
pub use snapshot::{Origin, Snapshot, Watched};
pub use source::Source;
pub(crate) use watches::{LINGERING_MAX, Watches};
