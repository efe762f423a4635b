//! Calls: HTTP by service name over connections kept for each member, with deadlines, retries elsewhere and a budget for them.
//!
//! `outcome`, `tries`, `patience` and `budget` decide and are pure; `client`, `upstream` and `attempt` carry it out; `connection`, `socket`, `upload`,
//! `kept`, `dial` and `body` are what it goes over. `tcp` is `Pool::connect`, for whatever else is spoken.

mod attempt;
mod bell;
mod body;
mod budget;
mod client;
mod connection;
mod deadlines;
pub(crate) mod dial;
pub mod headers;
mod kept;
mod outcome;
mod outgoing;
mod patience;
mod socket;
mod tcp;
mod tried;
mod tries;
mod upload;
mod upstream;

pub use body::Body;
pub use client::Client;
pub use deadlines::Deadlines;
pub use tried::{Tried, Why};
