//! Programs as real children, on a real Consul and on the embedded agent. Signals and terminals are tested with the command `discovery run`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod ends;
mod health;
mod world;
