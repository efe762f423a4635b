//! Ports in use are reported before anything starts, with the flag that changes them. If another program takes a port after this check, the
//! process that needs it reports the error.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use program::refused;

/// Checks that this address is free for TCP.
///
/// # Errors
/// It is in use; the error has the flag that sets it.
pub(super) fn tcp_is_free(at: SocketAddr, flag: &str) -> io::Result<()> {
    TcpListener::bind(at).map(drop).map_err(|err| refused(at, flag, &err))
}

/// Checks that this address is free for UDP.
///
/// # Errors
/// It is in use; the error has the flag that sets it.
pub(super) fn udp_is_free(at: SocketAddr, flag: &str) -> io::Result<()> {
    UdpSocket::bind(at).map(drop).map_err(|err| refused(at, flag, &err))
}
