//! What the HTTP/1 servers here do with connections, around hyper: accept them ([`Acceptor`]), bound their number and end those that hold a
//! place without using it ([`Limits`], [`Place`]), and refuse requests that RFC 9112 wants refused and hyper lets through ([`refusal`]).
//!
//! A connection has a request *in hand* while a handler has it; such a connection is never ended here. Any other (quiet, or with half a
//! request) gives way when places run short, and is ended when it is quiet, or at a head, for too long. How long a body may take is the
//! service's to say, which reads it.
//!
//! hyper's own `header_read_timeout` has one limit for both and a timer per request. Here a request costs a few relaxed stores, and one timer a
//! server looks after all connections.

#![warn(missing_docs)]

mod accept;
mod place;
mod request;
mod seldom;
mod stream;
mod table;

pub use self::{
    accept::Acceptor,
    place::{End, Exchange, Exchanges, Place},
    request::{Refusal, refusal},
    seldom::Seldom,
    stream::Stream,
    table::Limits,
};
