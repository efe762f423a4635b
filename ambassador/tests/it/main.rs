//! Tests of the public API, with real sockets.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod admin;
mod http;
mod reload;
mod takeover;
mod tcp;
mod udp;
