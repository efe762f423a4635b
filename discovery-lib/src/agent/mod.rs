//! The HTTP API of a Consul agent: the dozen calls that discovery needs, and no more.
//!
//! Every call has a deadline, every body a limit. What Consul answers is turned into our own words by those who ask (`watch`,
//! `registration`); the wire types stop there.

mod question;

pub use question::{Answer, Question};

/// A client of one agent. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct AgentClient;
