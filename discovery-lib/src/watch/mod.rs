//! A standing question for the instances of a service.

mod entry;
mod index;
mod machine;
mod pace;
mod snapshot;

pub use snapshot::{Origin, Snapshot, Watched};
