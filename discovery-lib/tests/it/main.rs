//! Tests of the public API, with real agents and servers.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod acl;
mod agent;
mod call;
mod lifetimes;
mod metrics;
mod registration;
mod scenario;
#[cfg(feature = "tls")]
mod tls;
mod watch;
mod world;
