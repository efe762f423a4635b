//! DNS over TCP: each message has its length before it; a connection may ask many questions, one after the other.

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
    places::{Place, Places},
};

/// A connection that asks nothing for so long is closed (RFC 7766 wants a few seconds).
const IDLE_MAX: Duration = Duration::from_secs(10);
/// A client takes its answer within this, or its connection is closed: the longest answer has 64 KiB.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// When there are no descriptors left, new connections wait this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves for as long as it is polled; dropping it ends all connections.
pub(crate) async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let places = Arc::new(Places::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    if let Err(err) = stream.set_nodelay(true) {
                        debug!(%err, "a socket's option could not be set");
                    }
                    let place = places.take(from.ip());
                    connections.spawn(connection(stream, place, Arc::clone(&resolver)));
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

/// Ends with the conversation, or when the place is another's.
async fn connection<S>(stream: S, place: Place, resolver: Arc<Resolver>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = tokio::select! {
        ended = converse(stream, &place, &resolver) => ended,
        () = place.recalled() => {
            debug!("too many DNS connections; one that was quiet was closed");
            return;
        }
    };
    if let Err(err) = ended {
        debug!(%err, "a DNS connection ended in disorder");
    }
}

async fn converse<S>(mut stream: S, place: &Place, resolver: &Resolver) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Ok(question) = timeout(IDLE_MAX, read(&mut stream)).await else { return Ok(()) };
        let Some(question) = question? else { return Ok(()) };
        place.made_progress();
        // The length stands before the answer.
        let mut message = vec![0; 2];
        let answered = resolver.reply(&question, Transport::Tcp, &mut message).await;
        if answered.is_none() {
            continue;
        }
        let length = u16::try_from(message.len() - 2).map_err(io::Error::other)?;
        message[..2].copy_from_slice(&length.to_be_bytes());
        timeout(WRITE_MAX, stream.write_all(&message)).await??;
        place.made_progress();
        // A client that asks without a pause must not hold up the others.
        yield_now().await;
    }
}

/// The next question; `None` when the other side has none any more.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(err) => return Err(err),
    };
    if length > QUESTION_BYTES_MAX {
        let text = format!("a question of {length} bytes; {QUESTION_BYTES_MAX} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await?;
    Ok(Some(question))
}

#[cfg(test)]
mod tests {
    use tokio::{io::duplex, time::Instant};

    use super::{super::places::CONNECTIONS_PER_CLIENT_MAX, *};
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
    async fn a_client_that_does_not_take_its_answer_is_let_go() {
        let place = Arc::new(Places::default()).take([127, 0, 0, 1].into());
        // A pipe that holds no more than a part of the answer.
        let (mut client, server) = duplex(64);
        let asked = question("web.service.consul.", hickory_proto::rr::RecordType::SRV, None);
        let ask = async {
            client.write_u16(asked.len().try_into().unwrap()).await.unwrap();
            client.write_all(&asked).await.unwrap();
        };
        let resolver = resolver();
        let (ended, ()) = tokio::join!(converse(server, &place, &resolver), ask);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_place_is_anothers_ends_at_once() {
        let places = Arc::new(Places::default());
        let (mut client, server) = duplex(64);
        let started_at = Instant::now();
        let place = places.take([127, 0, 0, 1].into());
        let quiet = tokio::spawn(connection(server, place, resolver()));
        let more = (0..CONNECTIONS_PER_CLIENT_MAX).map(|_| places.take([127, 0, 0, 1].into()));
        let _more: Vec<_> = more.collect();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        quiet.await.unwrap();
        // The clock is paused: it moves only when everybody waits, here for `IDLE_MAX`.
        assert_eq!(Instant::now(), started_at);
    }
}
