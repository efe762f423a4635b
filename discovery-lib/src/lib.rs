//! Service discovery on Consul: register, watch, pick, call.
#![warn(missing_docs)]

pub mod agent;
mod discovery;
mod error;
mod instance;
mod settings;
mod watch;

pub use discovery::Discovery;
pub use error::Error;
pub use instance::{Host, Instance, ServiceId, Status, Weights};
pub use settings::{DnsAddress, Settings};
pub use watch::{Origin, Resolve, Snapshot, Watch, Watched};
