//! The side of the successor.

use std::{io, os::fd::OwnedFd};

use tokio::net::UnixStream;
use tracing::warn;

use super::{
    Inherited,
    channel::{Channel, FRAME_WITHIN, invalid},
    wire::{Message, Name, SOCKETS_MAX, VERSION},
};
use crate::listen::Socket;

/// Asks for all sockets.
pub(super) async fn sockets(stream: UnixStream) -> io::Result<(Channel, Inherited)> {
    let channel = Channel::new(stream)?;
    channel.send(&Message::Hello { version: VERSION }, &[]).await?;
    let mut all = Vec::new();
    loop {
        let (message, fds) = channel.receive(FRAME_WITHIN).await?;
        match message {
            Message::Sockets { names, more } if names.len() == fds.len() => {
                all.extend(names.into_iter().zip(fds));
                if all.len() > SOCKETS_MAX {
                    return Err(invalid("it has too many sockets"));
                }
                if !more {
                    break;
                }
            }
            Message::Refused { why } => return Err(io::Error::other(format!("refused: {why}"))),
            _ => return Err(invalid("it sends something else than sockets")),
        }
    }
    let sockets = all.into_iter().map(|(name, fd)| Ok((socket(&name, fd)?, name)));
    let sockets = sockets.map(|it: io::Result<_>| it.map(|(socket, name)| (name, socket)));
    Ok((channel, Inherited(sockets.collect::<io::Result<_>>()?)))
}

/// Asks the predecessor to stop accepting. It may end without an answer: then there is nothing to wait for.
pub(super) async fn confirm(channel: &Channel, names: Vec<Name>) -> io::Result<()> {
    channel.send(&Message::Taken { names }, &[]).await?;
    match channel.receive(FRAME_WITHIN).await {
        Ok((Message::Released, _)) => {}
        Ok(_) => warn!("the predecessor answered with something else than its release"),
        Err(error) => warn!(%error, "the predecessor did not confirm the takeover"),
    }
    Ok(())
}

/// Checks that the socket is of the kind and at the address of its name.
fn socket(name: &Name, fd: OwnedFd) -> io::Result<Socket> {
    let is_listening = || rustix::net::sockopt::socket_acceptconn(&fd);
    let (is_right, socket) = match name {
        Name::Tcp(at) | Name::Admin(at) => {
            let is_listening = is_listening()?;
            let socket = std::net::TcpListener::from(fd);
            (is_listening && socket.local_addr()? == *at, Socket::Tcp(socket))
        }
        Name::Udp(at) => {
            let socket = std::net::UdpSocket::from(fd);
            (socket.local_addr()? == *at, Socket::Udp(socket))
        }
        Name::Unix(_) | Name::Takeover => {
            let is_listening = is_listening()?;
            (is_listening, Socket::Unix(fd.into()))
        }
    };
    is_right
        .then_some(socket)
        .ok_or_else(|| invalid("a socket has another kind or address than its name"))
}
