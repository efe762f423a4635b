//! The four programs as processes, with the embedded agent, real sockets, and a double of redis.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod hasher;
mod redis;
mod rng;
mod usage;
mod webui;
mod worker;
mod world;
