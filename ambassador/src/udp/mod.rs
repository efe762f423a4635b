//! UDP routes: the datagrams of one client go to one instance, and its answers back to that client, from the address that was asked.
//!
//! - `sessions`: which clients have a session, and which of them ends (pure).
//! - `session`: the way of one client to its instance, and when it goes to another one.
//! - `port`: the socket that all clients send to; `connect`: how a client gets an instance.
//! - `upstream`: the connected socket of a session.
//!
//! Nothing waits and nothing is queued: a datagram that can't be sent at once is dropped, as by any router. A datagram of a known client is not
//! copied and needs no allocation.

mod connect;
mod counts;
mod port;
mod session;
mod sessions;
mod upstream;

pub(crate) use counts::Counts;
pub(crate) use port::serve;
