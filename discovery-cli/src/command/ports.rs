//! Ports in use are told before anything starts, with the flag that helps. Another program may take one between this look and the start:
//! then whoever needs it says so itself.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use program::refused;

/// That this address is free for TCP.
///
/// # Errors
/// It is not; with the flag that sets it.
pub(super) fn tcp_is_free(at: SocketAddr, flag: &str) -> io::Result<()> {
    TcpListener::bind(at).map(drop).map_err(|err| refused(at, flag, &err))
}

/// That this address is free for UDP.
///
/// # Errors
/// It is not; with the flag that sets it.
pub(super) fn udp_is_free(at: SocketAddr, flag: &str) -> io::Result<()> {
    UdpSocket::bind(at).map(drop).map_err(|err| refused(at, flag, &err))
}
