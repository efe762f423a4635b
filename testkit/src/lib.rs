//! A real Consul, a fault proxy, an agent that misbehaves, a TLS front with certificates, an open-loop load, an echo server, interleaved ratios, a small file system,
//! and the bare clients that tests need to see exact answers.
//!
//! For tests and benches only: it is not published, and no product crate depends on it. It does not use the product's crates either, so that its
//! results are independent of them.

#[cfg(feature = "tls")]
pub mod certificates;
pub mod consul;
pub mod dns;
pub mod echo;
pub mod http;
pub mod load;
pub mod ports;
pub mod proxy;
pub mod ratio;
pub mod scripted;
pub mod small_disk;
#[cfg(feature = "tls")]
pub mod tls;
