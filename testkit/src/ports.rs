//! Free ports, for servers whose port must be known before they start. A server that can bind port 0 and report its port does not need this.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::RangeInclusive,
};

/// Below the range from which Linux takes the local ports of outgoing connections (32768 and up), so that a port stays free while its
/// server is down and a load goes on.
const RANGE: RangeInclusive<u16> = 15_000..=31_999;
/// The maximum number of random draws before this fails.
const DRAWS_MAX: usize = 1_000;

/// Ports that were free for TCP and UDP on 127.0.0.1 a moment ago. They are not reserved: if a server cannot bind them, try again with other
/// ports.
///
/// # Errors
///
/// No `N` free ports were found.
pub fn free<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = BTreeSet::new();
    for _ in 0..DRAWS_MAX {
        if ports.len() == N {
            break;
        }
        let port = fastrand::u16(RANGE);
        if !ports.contains(&port)
            && let Ok(sockets) = hold(port)
        {
            held.push(sockets);
            ports.insert(port);
        }
    }
    let ports: Vec<u16> = ports.into_iter().collect();
    ports.try_into().map_err(|_| none_free())
}

/// Listens on a port of 127.0.0.1 that no outgoing connection takes while its server is down.
///
/// # Errors
///
/// No free port was found.
pub fn listen() -> io::Result<TcpListener> {
    let draw = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(RANGE))).ok();
    (0..DRAWS_MAX).find_map(draw).ok_or_else(none_free)
}

/// An address of 127.0.0.1 without a listener.
///
/// # Errors
///
/// No free port was found.
pub fn unused() -> io::Result<SocketAddr> {
    listen()?.local_addr()
}

fn none_free() -> io::Error {
    io::Error::other("no free ports on 127.0.0.1")
}

fn hold(port: u16) -> io::Result<(TcpListener, UdpSocket)> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok((TcpListener::bind(addr)?, UdpSocket::bind(addr)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        let ports: [u16; 8] = free().unwrap();
        let held: Vec<_> = ports.iter().map(|&port| hold(port).unwrap()).collect();
        assert_eq!(held.len(), 8);
    }

    #[test]
    fn a_listener_has_a_port_that_outgoing_connections_do_not_take() {
        assert!(RANGE.contains(&listen().unwrap().local_addr().unwrap().port()));
    }
}
