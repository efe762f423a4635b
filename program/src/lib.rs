//! The common part of the binaries: settings as flags and variables, logging, exit codes.
//!
//! Unlike the library, it reads the environment, prints and knows a command line. A program with settings of its own flattens
//! [`ServiceArgs`] into them; a program with another command line does not need this crate.

mod args;
mod duration;
mod health;
mod listen;
mod logging;
mod printable;
mod redact;
mod start;
mod usage;

pub use args::{ServiceArgs, address, service_name};
pub use duration::duration;
pub use health::health;
pub use listen::{listen, refused};
pub use logging::log;
pub use printable::printable;
pub use start::{Coded, Outcome, Usage, chain, failed, start, start_with_code};
pub use usage::parse;
