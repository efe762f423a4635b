//! The agent as a whole: its life, its data, its limits, its faults, and the `consul` command against it. What it answers is in the contract.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod cli;
mod data;
mod dns;
mod faults;
mod life;
mod limits;
mod slow;
mod talk;
mod wildcard;
