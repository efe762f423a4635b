//! DNS over TCP: each message has its length before it; a connection may send many questions, one after the other.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    QUESTION_BYTES_MAX, Resolver, Transport,
    permits::{Permit, Permits},
};

/// An idle connection is closed after this time (RFC 7766 recommends a few seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The connection of a client that does not read its answer within this time is closed. The longest answer has 64 KiB.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// The wait before the next accept when there are no file descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves for as long as it is polled. Dropping it closes all connections.
pub(crate) async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let permits = Arc::new(Permits::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    if let Err(err) = stream.set_nodelay(true) {
                        debug!(error = %err, "a socket option could not be set");
                    }
                    let permit = permits.acquire(from.ip());
                    connections.spawn(connection(stream, permit, Arc::clone(&resolver)));
                }
                Err(err) => {
                    warn!(error = %err, "a DNS connection could not be accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Ends with the connection, or when its permit is revoked.
async fn connection<S>(stream: S, permit: Permit, resolver: Arc<Resolver>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = tokio::select! {
        ended = converse(stream, &permit, &resolver) => ended,
        () = permit.revoked() => {
            debug!("an idle DNS connection was closed to make room for another");
            return;
        }
    };
    if let Err(err) = ended {
        debug!(error = %err, "DNS connection error");
    }
}

async fn converse<S>(mut stream: S, permit: &Permit, resolver: &Resolver) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Ok(question) = timeout(IDLE_MAX, read(&mut stream)).await else { return Ok(()) };
        let Some(question) = question? else { return Ok(()) };
        permit.made_progress();
        // The length comes before the answer.
        let mut message = vec![0; 2];
        let answered = resolver.reply(&question, Transport::Tcp, &mut message).await;
        if answered.is_none() {
            continue;
        }
        let length = u16::try_from(message.len() - 2).map_err(io::Error::other)?;
        message[..2].copy_from_slice(&length.to_be_bytes());
        timeout(WRITE_MAX, stream.write_all(&message)).await??;
        permit.made_progress();
        // A client that sends questions without a pause must not starve the others.
        yield_now().await;
    }
}

/// The next question; `None` once the client has shut its sending side.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(err) => return Err(err),
    };
    if length > QUESTION_BYTES_MAX {
        let text = format!("question of {length} bytes exceeds the limit of {QUESTION_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await?;
    Ok(Some(question))
}

#[cfg(test)]
mod tests {
    use tokio::{io::duplex, time::Instant};

    use super::{super::permits::CONNECTIONS_PER_CLIENT_MAX, *};
    use crate::{
        dns::tests::{question, state},
        engine::Engine,
        fault::Faults,
    };

    fn resolver() -> Arc<Resolver> {
        let (state, identity) = state(40);
        let engine = Arc::new(Engine::new(identity, state, false));
        Arc::new(Resolver::new(engine, Arc::new(Faults::new())))
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_of_a_client_that_does_not_read_is_closed() {
        let permit = Arc::new(Permits::default()).acquire([127, 0, 0, 1].into());
        // A pipe that holds only a part of the answer.
        let (mut client, server) = duplex(64);
        let asked = question("web.service.consul.", hickory_proto::rr::RecordType::SRV, None);
        let ask = async {
            client.write_u16(asked.len().try_into().unwrap()).await.unwrap();
            client.write_all(&asked).await.unwrap();
        };
        let resolver = resolver();
        let (ended, ()) = tokio::join!(converse(server, &permit, &resolver), ask);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_permit_is_revoked_ends_at_once() {
        let permits = Arc::new(Permits::default());
        let (mut client, server) = duplex(64);
        let started_at = Instant::now();
        let permit = permits.acquire([127, 0, 0, 1].into());
        let quiet = tokio::spawn(connection(server, permit, resolver()));
        let more = (0..CONNECTIONS_PER_CLIENT_MAX).map(|_| permits.acquire([127, 0, 0, 1].into()));
        let _more: Vec<_> = more.collect();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        quiet.await.unwrap();
        // The clock is paused: it advances only when all tasks wait, here for `IDLE_MAX`.
        assert_eq!(Instant::now(), started_at);
    }
}
