//! Service discovery on Consul: register, watch, pick, call.
#![warn(missing_docs)]

pub mod agent;
mod error;
mod instance;
mod watch;

pub use error::Error;
pub use instance::{Host, Instance, ServiceId, Status, Weights};
pub use watch::{Origin, Snapshot, Watched};
