//! Calls by service name: HTTP over pooled connections, with deadlines, retries on other instances and a retry budget.
//!
//! The path of a request:
//!
//! 1. [`client`]: takes the service from the URL of a request ([`request_builder`] or the caller's own) and finds its upstream, or makes one.
//! 2. [`request`]: removes the headers of one hop and keeps what each try sends.
//! 3. [`upstream`]: picks an instance of the pool and starts a try; [`outstanding`] has those under way.
//! 4. [`attempt`]: takes an idle connection of the instance ([`connection::idle`]) or dials a new one ([`connection::dial`]).
//! 5. [`connection`]: sends the request and waits for the head of the response.
//! 6. [`tries::outcome`]: what the result means for the instance, and whether another try may follow; [`tries`] decides if it does.
//! 7. [`body`]: the caller reads the body; its end is the end of the call, and the connection becomes idle.
//!
//! Everything in [`tries`] is pure: it gets the time and does no IO. [`tcp`] is `Pool::connect`, for other protocols than HTTP.

mod attempt;
mod body;
mod client;
mod connection;
mod failed_try;
pub mod headers;
mod options;
mod outstanding;
mod protocol;
mod request;
mod request_body;
mod request_builder;
mod shared_stream;
mod spans;
mod tcp;
mod tls;
mod tls_error;
pub mod tries;
mod upstream;

pub use body::Body;
pub use client::Client;
pub use failed_try::{FailedTry, TryError};
pub use options::CallOptions;
pub use protocol::Protocol;
pub use request_body::RequestBody;
pub use request_builder::RequestBuilder;
pub use tls_error::TlsError;
#[cfg(feature = "reqwest")]
pub(crate) use upstream::first_pick;
