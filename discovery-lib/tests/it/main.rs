//! Tests of the library as its users see it, against real parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod acl;
mod agent;
mod call;
mod lifetimes;
mod registration;
mod watch;
mod world;
