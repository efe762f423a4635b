//! A TCP connection to an instance, or why there is none.

use std::io;

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout_at,
};

use super::{deadlines::Deadline, tried::Why};
use crate::{Host, Instance};

/// Connects before the deadline; small writes leave at once (`TCP_NODELAY`). A name is resolved anew each time, and its addresses are tried
/// in the order of the resolver.
pub(crate) async fn dial(instance: &Instance, deadline: Deadline) -> Result<TcpStream, Why> {
    timeout_at(deadline.at, reach(instance)).await.unwrap_or(Err(Why::NotConnected(deadline.span)))
}

async fn reach(instance: &Instance) -> Result<TcpStream, Why> {
    let connected = match &instance.host {
        Host::Ip(ip) => TcpStream::connect((*ip, instance.port)).await,
        Host::Name(name) => {
            let found = lookup_host((&**name, instance.port)).await.map_err(|error| {
                tracing::debug!(host = %name, %error, "host name not resolved");
                Why::Unresolved
            })?;
            TcpStream::connect(found.collect::<Vec<_>>().as_slice()).await
        }
    };
    let quick = |stream: TcpStream| stream.set_nodelay(true).map(|()| stream);
    connected.and_then(quick).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Why::Refused,
        kind => Why::Unreachable(kind),
    })
}
