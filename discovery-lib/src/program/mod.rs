//! What a program that is a service needs round the library: its settings as flags and variables, its log, its last words. With feature
//! `program`.
//!
//! It is the only part of this library that knows a command line, and that prints. A program with settings of its own flattens
//! [`ServiceArgs`] into them; one with another command line needs none of this.

mod args;
mod duration;
mod health;
mod listen;
mod logging;
mod printable;
mod start;
mod usage;

pub use args::{ServiceArgs, address, service_name};
pub use duration::duration;
pub use health::health;
pub use listen::{listen, refused};
pub use logging::log;
pub use printable::printable;
pub use start::{Outcome, chain, start};
pub use usage::parse;
