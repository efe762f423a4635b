//! A standing question for the instances of a service.

mod snapshot;

pub use snapshot::{Origin, Snapshot, Watched};
