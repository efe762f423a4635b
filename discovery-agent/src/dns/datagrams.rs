//! A UDP socket that answers from the address at which the question arrived. On a wildcard address the kernel would choose the source address by
//! its routes, and a resolver drops an answer from an address that it did not query (RFC 2181 section 4.1).

use std::{
    array,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket};

/// The number of datagrams that one system call receives at most.
const BATCH: usize = 8;
/// The kernel may coalesce datagrams of one sender into one read, up to this size in bytes.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The socket.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// The datagrams that one call received.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
    count: usize,
}

/// The two addresses of a datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) from: SocketAddr,
    /// The local address; `None` where the system does not report it.
    asked: Option<IpAddr>,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { socket, state })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for datagrams and receives them.
    pub(super) async fn receive(&self, into: &mut Batch) -> io::Result<()> {
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

    /// Answers a datagram, from the address at which it arrived.
    pub(super) async fn answer(&self, contents: &[u8], ends: Ends) -> io::Result<()> {
        let socket = &self.socket;
        let transmit = Transmit {
            destination: ends.from,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: ends.asked,
        };
        let send = || self.state.try_send(UdpSockRef::from(socket), &transmit);
        socket.async_io(Interest::WRITABLE, send).await
    }
}

impl Batch {
    pub(super) fn new() -> Self {
        let bytes = vec![0; BATCH * READ_BYTES_MAX];
        Self { bytes, metas: [RecvMeta::default(); BATCH], count: 0 }
    }

    /// Each datagram with its addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Ends)> {
        let reads = self.bytes.chunks_exact(READ_BYTES_MAX).zip(&self.metas).take(self.count);
        reads.flat_map(|(bytes, meta)| {
            let ends = Ends { from: meta.addr, asked: meta.dst_ip };
            bytes[..meta.len].chunks(meta.stride.max(1)).map(move |datagram| (datagram, ends))
        })
    }
}
