//! The instance of a session, and the socket that is connected to it: only its datagrams arrive there, and the ICMP errors about it.

use std::{io, net::SocketAddr, rc::Rc};

use discovery::{InFlight, MemberId, Pick, Verdict};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send,
        socket_with,
    },
};
use tokio::{io::Interest, net::UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use crate::tcp::{Buffer, Buffers};

/// The instance of a session. Its session counts as a call in flight there.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) member: MemberId,
    pub(super) socket: Rc<Connected>,
    call: Option<Call>,
    _answers: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Call {
    /// The instance has not answered. That is no failure: some protocols have no answers.
    Unanswered(Pick),
    Answered(InFlight),
}

/// A socket that is connected to an instance.
#[derive(Debug)]
pub(super) struct Connected(UdpSocket);

/// Why a datagram was not sent to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// The instance can't be reached: nothing listens there, or there is no route. An earlier datagram may be the reason.
    Unreachable,
    /// Only this datagram: it is too large, or a buffer is full.
    Dropped,
}

impl Upstream {
    /// `answers` relays what arrives at the socket, until this is dropped.
    pub(super) fn new(pick: Pick, socket: Rc<Connected>, answers: AbortOnDropHandle<()>) -> Self {
        let (member, call) = (pick.member(), Some(Call::Unanswered(pick)));
        Self { member, socket, call, _answers: answers }
    }

    /// False once the instance has left the pool.
    pub(super) fn is_current(&self) -> bool {
        match &self.call {
            Some(Call::Unanswered(pick)) => pick.is_current(),
            Some(Call::Answered(in_flight)) => in_flight.is_current(),
            None => false,
        }
    }

    /// An answer has arrived.
    pub(super) fn answered(&mut self) {
        self.call = match self.call.take() {
            Some(Call::Unanswered(pick)) => Some(Call::Answered(pick.judge(Verdict::SUCCESS))),
            call => call,
        };
    }

    /// The instance can't be reached.
    pub(super) fn fail(self) {
        if let Some(Call::Unanswered(pick)) = self.call {
            drop(pick.judge(Verdict::REFUSED));
        }
    }
}

impl Connected {
    /// # Errors
    /// There is no route to the address, or there are too many open files.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        connect(&socket, &address)?;
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Sends a datagram at once: a full buffer must not delay other clients.
    pub(super) fn send(&self, datagram: &[u8]) -> Result<(), NotSent> {
        match send(&self.0, datagram, SendFlags::empty()) {
            Ok(_) => Ok(()),
            Err(error) if is_unreachable(error) => Err(NotSent::Unreachable),
            Err(_) => Err(NotSent::Dropped),
        }
    }

    /// Waits for an answer. The buffer of the result has it in front; give it back. Cancel safe.
    ///
    /// # Errors
    /// The instance can't be reached.
    pub(super) async fn receive(&self, buffers: &Buffers) -> io::Result<(Buffer, usize)> {
        let read = || {
            let mut buffer = buffers.take();
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => Ok((buffer, length)),
                Err(error) => {
                    buffers.give_back(buffer);
                    Err(error.into())
                }
            }
        };
        self.0.async_io(Interest::READABLE, read).await
    }
}

/// Whether the error is about the instance, not about the datagram. ICMP errors are reported by the next call on a connected socket.
fn is_unreachable(error: Errno) -> bool {
    [
        Errno::CONNREFUSED,
        Errno::HOSTUNREACH,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::NETDOWN,
        Errno::ACCESS,
        Errno::PERM,
    ]
    .contains(&error)
}
