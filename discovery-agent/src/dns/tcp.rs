//! DNS over TCP: each message has its length before it; a connection may ask many questions, one after the other.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{message::Transport, reply};
use crate::engine::{Engine, Mood};

/// So many connections at once, all clients together; one more is closed.
const CONNECTIONS_MAX: usize = 512;
/// A connection that asks nothing for so long is closed (RFC 7766 wants a few seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// When there are no descriptors left, new connections wait this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves for as long as it is polled; dropping it ends all connections.
pub(crate) async fn serve_tcp(listener: TcpListener, engine: Arc<Engine>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(_) if connections.len() >= CONNECTIONS_MAX => {
                    warn!(limit = CONNECTIONS_MAX, "too many DNS connections; one more was closed");
                }
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&engine)));
                }
                Err(err) => {
                    warn!(%err, "a DNS connection could not be accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, engine: Arc<Engine>) {
    if let Err(err) = converse(stream, &engine).await {
        debug!(%err, "a DNS connection ended in disorder");
    }
}

async fn converse(mut stream: TcpStream, engine: &Engine) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut turn = 0;
    loop {
        let Ok(question) = timeout(IDLE_MAX, read(&mut stream)).await else { return Ok(()) };
        let Some(question) = question? else { return Ok(()) };
        engine.until(|conduct| conduct.mood != Mood::Frozen).await;
        let Some(answer) = reply(engine, &question, Transport::Tcp, turn) else { return Ok(()) };
        turn = turn.wrapping_add(1);
        let length = u16::try_from(answer.bytes.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(answer.bytes.len() + 2);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&answer.bytes);
        stream.write_all(&message).await?;
    }
}

/// The next question; `None` when the other side has none any more.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(err) => return Err(err),
    };
    let mut question = vec![0; usize::from(length)];
    stream.read_exact(&mut question).await?;
    Ok(Some(question))
}
