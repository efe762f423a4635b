//! Connections: accept, serve, graceful shutdown.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_connections::{Acceptor, End, Limits, Permit, Stream};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::answer::Answers;
use crate::registration::FINISH_WITHIN;

/// Connections served at once, and fewer where there are fewer descriptors ([`Limits::connections`]).
pub(super) const CONNECTIONS_MAX: usize = 8192;
/// Bytes of a request's head; a longer one gets 431.
const HEAD_MAX: usize = 32 * 1024;
/// From the first byte of a head to its end.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Idle timeout of a connection. It is longer than that of callers, so that the caller closes first.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Serves at most `connections_max` connections at once until `stopped`, then finishes the requests in flight.
pub(super) async fn serve(
    listener: TcpListener,
    answers: Answers,
    connections_max: usize,
    stopped: impl Future<Output = ()>,
) {
    let answers = Arc::new(answers);
    let stop = CancellationToken::new();
    let mut acceptor = Acceptor::new(listener, limits(connections_max), stop.clone());
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, remote, permit) = acceptor.next() => {
                connections.spawn(connection(stream, remote, permit, answers.clone()));
            }
        }
    }
    drop(acceptor);
    stop.cancel();
    finish(connections).await;
}

/// No limit for one address: behind a gateway or NAT all clients may have the same. At the limit, those without a request in progress are closed.
fn limits(connections_max: usize) -> Limits {
    Limits {
        connections: Limits::connections(connections_max),
        per_client: None,
        head: HEAD_WITHIN,
        idle: IDLE_MAX,
    }
}

async fn finish(mut connections: JoinSet<()>) {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(FINISH_WITHIN, all).await.is_err() {
        warn!(connections = connections.len(), "requests in flight were not finished in time");
        connections.shutdown().await;
    }
}

/// A panic of a handler ends its connection, not the server.
fn report(ended: Result<(), JoinError>) {
    if let Err(err) = ended {
        error!(error = %err, "handler panicked");
    }
}

async fn connection(stream: TcpStream, remote: SocketAddr, permit: Permit, answers: Arc<Answers>) {
    if let Err(err) = serve_one(stream, remote, &permit, answers).await {
        debug!(%remote, error = %err, "connection error");
    }
}

async fn serve_one(
    stream: TcpStream,
    remote: SocketAddr,
    permit: &Permit,
    answers: Arc<Answers>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    limit_untaken(&stream)?;
    let (remote, local) = (canonical(remote), canonical(stream.local_addr()?));
    let exchanges = permit.exchanges();
    let service = service_fn(move |request| {
        let (answers, exchange) = (Arc::clone(&answers), exchanges.begin());
        async move { Ok::<_, Infallible>(answers.answer(request, remote, local, exchange).await) }
    });
    let mut http = http1::Builder::new();
    // A client that has shut down its sending side still gets its response. The permit has the timeouts.
    http.half_close(true).header_read_timeout(None);
    http.max_header_size(HEAD_MAX).max_buf_size(HEAD_MAX);
    let stream = TokioIo::new(Stream::new(stream, permit));
    let mut connection = pin!(http.serve_connection(stream, service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        end = permit.ended() => match end {
            End::Immediate => return Ok(()),
            End::Graceful => connection.as_mut().graceful_shutdown(),
        },
    }
    Ok(connection.await?)
}

/// Closes the connection when sent bytes are not acknowledged in time.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_untaken(stream: &TcpStream) -> std::io::Result<()> {
    const UNTAKEN_MAX: Duration = Duration::from_secs(30);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(stream, UNTAKEN_MAX.as_millis() as u32)?)
}

/// Elsewhere there is no such option: the retransmission limit of the system applies.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn limit_untaken(_: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

/// Converts an IPv4-mapped address, which a dual-stack listener gives, into IPv4.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped().map_or(addr, |ip| (ip, v6.port()).into()),
    }
}
