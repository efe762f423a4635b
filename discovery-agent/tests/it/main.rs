//! The agent as a whole: start and stop, data, limits, faults, and the `consul` command. Its answers are tested by the contract.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod checks;
mod cli;
mod data;
mod dns;
mod faults;
mod life;
mod limits;
mod requests;
mod slow;
mod wildcard;
