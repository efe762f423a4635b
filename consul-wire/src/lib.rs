//! The answers of Consul's HTTP API as types, and the names that client and agent share: headers, query keys, error texts.
//!
//! No IO, no async, no defaults except Consul's: a client and an agent can share this crate and do not depend on each other. Each answer type is
//! tested against a recorded answer of a real Consul. Fields are serialized in Consul's order.
//!
//! Deserialization is lenient: unknown fields are ignored, a missing or `null` list or map is empty, an unknown status is critical, and invalid
//! weights are Consul's default. Only an invalid service port is an error, because such a record can't be used. The validation of *requests* is
//! part of the agent.

#![warn(missing_docs)]

pub mod agent;
pub mod catalog;
pub mod check;
pub mod error;
pub mod header;
mod lenient;
pub mod query;
pub mod service;
