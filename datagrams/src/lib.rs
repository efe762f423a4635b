//! A UDP socket that answers from the address at which a datagram arrived. On a wildcard address the kernel would choose the source address by
//! its routes, and a client drops an answer from an address that it did not send to (for DNS: RFC 2181 section 4.1).

use std::{
    array,
    io::{self, IoSliceMut},
    iter,
    net::{IpAddr, SocketAddr},
};

use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use tokio::{io::Interest, net::UdpSocket};

/// The number of reads that one system call makes at most.
const BATCH: usize = 8;
/// The kernel may coalesce datagrams of one sender into one read, up to this size in bytes. No datagram is larger.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The socket.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// The datagrams that one call received.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
    count: usize,
}

/// The two addresses of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The sender.
    pub from: SocketAddr,
    /// The local address at which it arrived; `None` where the system does not report it.
    pub asked: Option<IpAddr>,
}

impl Datagrams {
    /// Prepares a bound socket.
    ///
    /// # Errors
    ///
    /// The system refuses an option of the socket.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        allow_fragments(&socket)?;
        Ok(Self { socket, state })
    }

    /// The bound socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Waits for datagrams and receives them. Cancel safe.
    ///
    /// # Errors
    ///
    /// An error of the socket itself; the next call may succeed.
    pub async fn receive(&self, into: &mut Batch) -> io::Result<()> {
        let socket = &self.socket;
        into.count = 0;
        let receive = || {
            let mut buffers = into.bytes.chunks_exact_mut(READ_BYTES_MAX);
            let mut slices: [_; BATCH] =
                array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
            self.state.recv(UdpSockRef::from(socket), &mut slices, &mut into.metas)
        };
        into.count = socket.async_io(Interest::READABLE, receive).await?;
        Ok(())
    }

    /// Answers a datagram, from the address at which it arrived. Waits for space in the socket's buffer.
    ///
    /// # Errors
    ///
    /// The answer could not be sent.
    pub async fn answer(&self, contents: &[u8], ends: Ends) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || self.try_answer(contents, ends)).await
    }

    /// As [`Datagrams::answer`], without waiting.
    ///
    /// # Errors
    ///
    /// The answer could not be sent; `WouldBlock` if the socket's buffer is full.
    pub fn try_answer(&self, contents: &[u8], ends: Ends) -> io::Result<()> {
        let transmit = Transmit {
            destination: ends.from,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: ends.asked,
        };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }
}

/// Lets the kernel fragment datagrams above the MTU, as it does by default. `UdpSocketState` forbids it, for QUIC.
fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    if socket.local_addr()?.is_ipv6() {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
        setsockopt(socket, Ipv6DontFrag, &false)?;
    }
    Ok(())
}

impl Batch {
    /// Space for one call. The memory is used as it is written: small datagrams use a page each.
    #[must_use]
    pub fn new() -> Self {
        let bytes = vec![0; BATCH * READ_BYTES_MAX];
        Self { bytes, metas: [RecvMeta::default(); BATCH], count: 0 }
    }

    /// Each datagram with its addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Ends)> {
        let reads = self.bytes.chunks_exact(READ_BYTES_MAX).zip(&self.metas).take(self.count);
        reads.flat_map(|(bytes, meta)| {
            let ends = Ends { from: meta.addr, asked: meta.dst_ip };
            let empty = (meta.len == 0).then_some(&bytes[..0]);
            let datagrams = bytes[..meta.len].chunks(meta.stride.max(1));
            datagrams.chain(empty).zip(iter::repeat(ends))
        })
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
