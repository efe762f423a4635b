//! An embedded agent that speaks Consul's HTTP API and DNS for one machine: to develop and to try things with nothing installed, and as a test
//! double for whoever talks to Consul. It behaves as Consul 1.8.7 does where its clients can tell, and is no cluster: past one machine the agent
//! is Consul itself.
//!
//! [`Agent::start`] gives one on free ports, in memory, ready when it returns and gone when dropped. Nothing here prints or reads the
//! environment.
//!
//! How it is made: `state` is a pure machine that knows everything and does no IO; `engine` lets tasks share it and wakes who waits; `http` and
//! `dns` answer; `checks` look; `persist` keeps; `fault` wraps what `http` and
//! `dns` answer.

#![warn(missing_docs)]

mod agent;
mod cache;
mod checks;
mod dns;
mod duration;
mod engine;
mod error;
mod fault;
mod http;
mod ledger;
mod listen;
mod persist;
mod state;
mod supervise;
mod waiters;

pub use self::{
    agent::{Agent, Builder},
    error::Error,
};
