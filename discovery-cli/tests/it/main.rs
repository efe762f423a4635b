//! End-to-end tests of the command as a process: its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod chain;
mod connection_limit;
mod doctor;
mod explain;
mod handover;
mod process;
mod register;
mod run;
mod services;
mod terminal;
mod tls;
mod up;
mod usage;
