//! Service discovery on Consul: register, watch, pick, call.
#![warn(missing_docs)]

pub mod agent;
mod backoff;
mod balance;
mod call;
mod discovery;
mod error;
mod instance;
mod member;
mod pool;
#[cfg(feature = "program")]
pub mod program;
pub mod registration;
pub mod serve;
mod settings;
mod watch;

pub use call::{Body, Client, Deadlines, Tried, Why, headers};
pub use discovery::Discovery;
pub use error::Error;
pub use instance::{Host, Instance, ServiceId, Status, Weights};
pub use member::{Charge, MemberId, Rank, Signal, Verdict};
pub use pool::{Explained, ExplainedMember, Explanation, InFlight, Pick, PickError, Pool};
pub use registration::{Advertise, Leaving, Registered, Registration, Signals, signal};
pub use settings::{DnsAddress, Settings};
pub use watch::{Origin, Resolve, Snapshot, Watch, Watched};
