//! Listening sockets. A restarted agent can bind its port again at once (SO_REUSEADDR), and never shares it with another program.

use std::{io, net::SocketAddr};

use datagrams::Datagrams;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use crate::Error;

/// The accept backlog. The kernel has a limit of its own.
const BACKLOG: u32 = 1024;
/// The number of tries to find a port that is free for both UDP and TCP.
const PORTS_MAX: usize = 16;

pub(crate) async fn tcp(protocol: &str, addr: SocketAddr) -> Result<TcpListener, Error> {
    bind_tcp(addr).map_err(|err| Error::listen(protocol, addr, err))
}

/// Binds one port for both; with port 0, any port that is free for both.
pub(crate) async fn udp_and_tcp(
    protocol: &str,
    addr: SocketAddr,
) -> Result<(Datagrams, TcpListener), Error> {
    let mut tries = if addr.port() == 0 { PORTS_MAX } else { 1 };
    loop {
        tries -= 1;
        let both = async {
            let udp = Datagrams::new(UdpSocket::bind(addr).await?)?;
            let tcp = bind_tcp(udp.socket().local_addr()?)?;
            Ok((udp, tcp))
        };
        match both.await {
            Ok(both) => return Ok(both),
            Err(err) if tries > 0 && io::Error::kind(&err) == io::ErrorKind::AddrInUse => {}
            Err(err) => return Err(Error::listen(protocol, addr, err)),
        }
    }
}

pub(crate) fn local_addr(
    protocol: &str,
    asked: SocketAddr,
    bound: io::Result<SocketAddr>,
) -> Result<SocketAddr, Error> {
    bound.map_err(|err| Error::listen(protocol, asked, err))
}

fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would let two programs share the port.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
