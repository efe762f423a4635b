//! The command as its users meet it: as a process, by what it prints, by how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod chain;
mod places;
mod process;
mod services;
mod terminal;
mod up;
mod usage;
