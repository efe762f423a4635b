//! An embedded agent with Consul's HTTP API and DNS, for one machine: for development with nothing installed, and as a test double for programs
//! that use Consul. Its clients see the behaviour of Consul 1.8.7. It is not a cluster: for more than one machine use Consul
//! itself.
//!
//! [`Agent::start`] returns an agent on free ports, in memory. It is ready when it is returned, and ends when it is dropped. [`Agent::builder`]
//! sets ports, names and a data directory. Nothing here prints or reads the environment.
//!
//! ```
//! use discovery_agent::Agent;
//! use http::StatusCode;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), discovery_agent::Error> {
//! let agent = Agent::start().await?;
//! println!("CONSUL_HTTP_ADDR={} CONSUL_DNS_ADDR={}", agent.url(), agent.dns_addr()); // for the program under test
//! agent.fail_with(StatusCode::INTERNAL_SERVER_ERROR); // an outage
//! agent.heal();
//! agent.forget_everything(); // a restart without data
//! agent.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It is tested on Linux and written for any Unix. Two things differ elsewhere: the default name of the node is `localhost` instead of the
//! host name, and the end of a client that has pipelined another request is only noticed when its blocking query ends.
//!
//! Its parts: `state` is a pure state machine without IO; `engine` shares it among tasks and wakes blocking queries; `http` and `dns` answer
//! requests; `checks` runs active checks; `persist` stores the state; `fault` wraps the answers of `http` and `dns` with injected faults.

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
