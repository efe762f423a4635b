//! DockerCoins: rng, hasher, worker and webui as small services on the library `discovery`.
//!
//! A worker asks rng for random bytes and hasher for their SHA-256. A hash that begins with 0 is a coin, which it keeps in redis; webui shows
//! coins and hashes per second. Each service registers itself, and finds the others by name; redis is behind an ambassador.

pub mod hasher;
pub mod rng;
pub mod webui;
pub mod worker;

mod host;
mod lock;
mod outage;
mod service;
mod ticks;
mod wallet;
