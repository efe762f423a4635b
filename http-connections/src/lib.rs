//! Connection handling for HTTP/1 servers, around hyper: accepts connections ([`Acceptor`]), limits their number and closes idle ones
//! ([`Limits`], [`Permit`]), and refuses requests that RFC 9112 requires to be refused and hyper accepts ([`refusal`]).
//!
//! A request is *in progress* while a handler processes it; such a connection is never closed here. Any other connection (idle, or with an
//! incomplete request) is closed when permits run short, or when it is idle, or its head incomplete, for too long. The time limit of a body is
//! set by the service that reads it.
//!
//! hyper's own `header_read_timeout` has one limit for both cases and one timer per request. Here a request costs a few relaxed stores, and one
//! timer per server checks all connections.

#![warn(missing_docs)]

mod accept;
mod permit;
mod rate_limit;
mod request;
mod stream;
mod table;

pub use self::{
    accept::Acceptor,
    permit::{End, Exchange, Exchanges, Permit},
    rate_limit::RateLimit,
    request::{Refusal, refusal},
    stream::Stream,
    table::Limits,
};
