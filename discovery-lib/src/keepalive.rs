//! Probes of TCP, for connections on which answers may take long: to the agent (blocking queries), and to instances in HTTP/2 (many calls).

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The idle time after which a connection is probed, and the interval of the probes. A peer that acknowledges none for [`SILENT_MAX`] (its
/// host lost its power or its network) is considered unreachable, also while an answer is awaited.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
#[cfg(target_os = "linux")]
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Without TCP_USER_TIMEOUT, this number of unacknowledged probes has the same effect.
const KEEPALIVE_PROBES: u32 = 3;

/// Lets the system end the connection when its peer is silently gone.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENT_MAX))?;
    Ok(())
}
