//! What Consul answers, as types, and the names that both sides of its HTTP API must spell alike: headers, query keys, error texts.
//!
//! No IO, no async, no default of ours: a client and an agent can share this crate without knowing each other. Each answer type is tested
//! against a recorded answer of a real Consul. Field order is Consul's, so that what is written here reads as what Consul writes.
//!
//! Reading is lenient, as a client must be: unknown fields are passed over, a missing or `null` list or map is an empty one, an unknown
//! status is critical, weights that make no sense are Consul's default. Only the port of a service has to be one: a record without is unusable. What an agent
//! accepts as a *request* is another matter, and the agent's own.

#![warn(missing_docs)]

pub mod agent;
pub mod catalog;
pub mod check;
pub mod error;
pub mod header;
mod lenient;
pub mod query;
pub mod service;
