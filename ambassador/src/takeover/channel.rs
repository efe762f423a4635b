//! Sends and receives frames with file descriptors over a unix socket.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt::socket_peercred,
};
use tokio::{io::Interest, net::UnixStream, time::timeout};

use super::wire::{LENGTH_BYTES, Message, SOCKETS_PER_FRAME, decode, encode, length};

/// The time for one frame, where the other side has nothing to wait for.
pub(super) const FRAME_WITHIN: Duration = Duration::from_secs(5);

/// The connection of a successor and its predecessor.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// # Errors
    /// The other process belongs to another user.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let other = socket_peercred(&stream)?.uid;
        if other != rustix::process::geteuid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the other process belongs to user {}", other.as_raw()),
            ));
        }
        Ok(Self(stream))
    }

    /// Sends a message; the file descriptors are duplicated by the system.
    pub(super) async fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let frame = encode(message).ok_or_else(|| invalid("a frame would be too long"))?;
        timeout(FRAME_WITHIN, self.send_frame(&frame, fds)).await.map_err(|_| late())?
    }

    async fn send_frame(&self, frame: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut sent = 0;
        while sent < frame.len() {
            let send = || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_FRAME))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if sent == 0
                    && !fds.is_empty()
                    && !control.push(SendAncillaryMessage::ScmRights(fds))
                {
                    return Err(invalid("too many sockets in a frame"));
                }
                let bytes = [IoSlice::new(&frame[sent..])];
                Ok(sendmsg(&self.0, &bytes, &mut control, SendFlags::NOSIGNAL)?)
            };
            sent += self.0.async_io(Interest::WRITABLE, send).await?;
        }
        Ok(())
    }

    /// Receives a message and its file descriptors.
    ///
    /// # Errors
    /// There is none in time, the other side is gone, or it sends something else.
    pub(super) async fn receive(&self, within: Duration) -> io::Result<(Message, Vec<OwnedFd>)> {
        let receive = async {
            let mut fds = Vec::new();
            let mut head = [0; LENGTH_BYTES];
            self.fill(&mut head, &mut fds).await?;
            let length = length(head).ok_or_else(|| invalid("a frame is too long"))?;
            let mut text = vec![0; length];
            self.fill(&mut text, &mut fds).await?;
            let message = decode(&text).ok_or_else(|| invalid("a frame is not a known message"))?;
            Ok((message, fds))
        };
        timeout(within, receive).await.map_err(|_| late())?
    }

    async fn fill(&self, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            let receive = || receive(&self.0, &mut bytes[filled..], fds);
            match self.0.async_io(Interest::READABLE, receive).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => filled += more,
            }
        }
        Ok(())
    }
}

fn receive(stream: &UnixStream, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_FRAME))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(bytes)];
    let received = recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            fds.extend(more);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || fds.len() > SOCKETS_PER_FRAME {
        return Err(invalid("too many sockets in a frame, or too many open files"));
    }
    Ok(received.bytes)
}

pub(super) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other process does not answer")
}
