//! Local ports that stand for services, for programs that know nothing of Consul.
//!
//! A *route* is a port, a unix socket or a UDP port, and the service that it stands for. Each connection to it goes to an instance that is
//! picked from a pool of discovery-lib; nothing restarts when instances come, go or move.
//!
//! - [`Config`]: the routes and the limits, made from arguments or from a file.
//! - [`Ambassador`]: runs a configuration. It owns the listeners (`listen`) and one thread per core (`worker`), each with its own runtime.
//! - `tcp` relays bytes, `http` relays HTTP/1.1 requests, `udp` relays datagrams.
//!
//! The pools belong to the runtime that starts the ambassador, and all workers share them. A connection belongs to the worker that accepted it,
//! from its first byte to its last, so relaying takes no lock and wakes no other thread.

#![warn(missing_docs)]

mod admin;
mod ambassador;
mod config;
mod connection_limit;
mod counters;
mod descriptors;
mod error;
mod http;
mod listen;
mod metrics;
mod route;
mod run;
mod stream;
mod takeover;
mod tcp;
mod udp;
mod worker;

pub use ambassador::Ambassador;
pub use config::{Config, HttpTimeouts, Listen, ProxyProtocol, Route, RouteOptions, Target};
pub use error::Error;
pub use run::{Changes, Reload};
pub use takeover::Takeover;
