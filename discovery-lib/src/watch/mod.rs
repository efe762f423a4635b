//! A standing question for the instances of a service.
//!
//! A source (`catalog`, `dns`) can be asked once. The `machine`, which is pure, decides when to ask and what to make of the answer; `carry`
//! is the task between the two, `publish` what others see of it. `standing` has one such task for each service, and `handle` is what
//! callers hold; how long a task lives is `lifetime`'s business. `permits` limits the connections to the agent. A pool meets a watch only as a receiver of snapshots.

mod carry;
mod catalog;
mod dns;
mod entry;
mod fixed;
mod handle;
mod index;
mod machine;
mod odd;
mod pace;
mod permits;
mod place;
mod publish;
mod resolve;
mod snapshot;
mod srv;
mod standing;

pub use handle::Watch;
pub use resolve::Resolve;
pub use snapshot::{Origin, Snapshot, Watched};
pub(crate) use standing::{LINGERING_MAX, Standing};
