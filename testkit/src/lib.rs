//! A real Consul, a fault proxy, an open-loop load, interleaved ratios, and the bare clients that tests need to see exact answers.
//!
//! For tests and benches only: never published, and no part of the product depends on it. It knows nothing of the product's crates
//! either, so that what it says of them is a second opinion.

pub mod consul;
pub mod dns;
pub mod http;
pub mod load;
pub mod ports;
pub mod proxy;
pub mod ratio;
