//! The side of the predecessor.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    time::sleep,
};
use tracing::{info, warn};

use super::{
    Own,
    channel::{Channel, FRAME_WITHIN, invalid},
    wire::{Message, Name, SOCKETS_PER_FRAME, VERSION},
};
use crate::{
    listen::{Listeners, Socket},
    worker::Plan,
};

/// The time until a successor has its pools and serves.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// After an error of `accept`.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until a successor serves the sockets of the plan. One that fails changes nothing.
///
/// # Errors
/// The socket can't be used.
pub(crate) async fn successor(own: Own<'_>, plan: watch::Receiver<Plan>) -> io::Result<()> {
    let listener = match own.listeners.sockets()?.pop() {
        Some(Socket::Unix(listener)) => UnixListener::from_std(listener)?,
        _ => return Err(invalid("no unix socket")),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match hand_over(stream, own, &plan).await {
                Ok(()) => return Ok(()),
                Err(error) => warn!(%error, "takeover failed; this process continues"),
            },
            Err(error) => {
                warn!(%error, "accept failed");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn hand_over(
    stream: UnixStream,
    own: Own<'_>,
    plan: &watch::Receiver<Plan>,
) -> io::Result<()> {
    let channel = Channel::new(stream)?;
    let (message, _) = channel.receive(FRAME_WITHIN).await?;
    match message {
        Message::Hello { version: VERSION } => {}
        Message::Hello { version } => {
            let why =
                format!("version {version} of the takeover is not supported: expected {VERSION}");
            channel.send(&Message::Refused { why }, &[]).await?;
            return Err(invalid("the successor has another version of the takeover"));
        }
        _ => return Err(invalid("the first frame of the successor is not `hello`")),
    }
    let routes: Vec<Arc<Listeners>> =
        plan.borrow().routes.iter().map(|route| Arc::clone(&route.listeners)).collect();
    send_sockets(&channel, own, &routes).await?;
    info!("a successor has the sockets, and prepares to serve them");
    let (Message::Taken { names }, _) = channel.receive(TAKEN_WITHIN).await? else {
        return Err(invalid("the frame after the sockets is not `taken`"));
    };
    info!(sockets = names.len(), "a successor has taken over");
    let is_taken = |listeners: &&Arc<Listeners>| names.contains(&Name::of(&listeners.at));
    routes.iter().filter(is_taken).for_each(|listeners| listeners.leave_path());
    own.listeners.leave_path();
    // The successor continues without the answer, too.
    channel.send(&Message::Released, &[]).await.ok();
    Ok(())
}

async fn send_sockets(
    channel: &Channel,
    own: Own<'_>,
    routes: &[Arc<Listeners>],
) -> io::Result<()> {
    let mut sockets: Vec<(Name, Socket)> = Vec::new();
    for listeners in routes {
        let name = Name::of(&listeners.at);
        sockets.extend(listeners.sockets()?.into_iter().map(|socket| (name.clone(), socket)));
    }
    sockets.extend(own.listeners.sockets()?.into_iter().map(|socket| (Name::Takeover, socket)));
    if let Some((name, socket)) = own.admin {
        sockets.push((name.clone(), socket.try_clone()?));
    }
    let mut chunks = sockets.chunks(SOCKETS_PER_FRAME).peekable();
    while let Some(chunk) = chunks.next() {
        let names = chunk.iter().map(|(name, _)| name.clone()).collect();
        let fds: Vec<BorrowedFd<'_>> = chunk.iter().map(|(_, socket)| socket.as_fd()).collect();
        let more = chunks.peek().is_some();
        channel.send(&Message::Sockets { names, more }, &fds).await?;
    }
    Ok(())
}
