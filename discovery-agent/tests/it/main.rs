//! The agent as a whole: its life, its data, its limits, its moods, and the `consul` command against it. What it answers is in the contract.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod cli;
mod data;
mod dns;
mod life;
mod limits;
mod moods;
mod slow;
mod talk;
mod wildcard;
