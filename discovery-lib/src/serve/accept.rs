//! Connections: taken in, served, and ended in order.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::answer::Answers;

/// Connections served at once; beyond it the next ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 8192;
/// A request's head, in bytes; a longer one is answered 431.
const HEAD_MAX: usize = 32 * 1024;
/// From the end of an answer, or from connecting, to the end of the next head: an idle connection lives no longer. Above what callers keep
/// one for, so that it is they who end it.
const HEAD_WITHIN: Duration = Duration::from_secs(90);
/// Sent bytes that nobody takes: the connection is given up.
const UNTAKEN_MAX: Duration = Duration::from_secs(30);
/// After a failed accept (no file descriptor left): until the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Once nothing is taken in any more: for what is in flight.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Serves until it is drained, then finishes what is in flight.
pub(super) async fn serve(listener: TcpListener, answers: Answers) {
    let answers = Arc::new(answers);
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = answers.leaving.drained() => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, remote)) => {
                    connections.spawn(connection(stream, remote, answers.clone(), stop.clone()));
                }
                Err(err) if concerns_one(&err) => debug!(%err, "a caller left before it was taken in"),
                Err(err) => {
                    warn!(%err, "no connection can be taken in; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stop.cancel();
    finish(connections).await;
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

/// A handler that panicked takes its connection with it, not the server.
fn report(ended: Result<(), JoinError>) {
    if let Err(err) = ended {
        error!(%err, "a request ended in a panic");
    }
}

/// Whether a failed accept says something of one caller, and nothing of the next.
fn concerns_one(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    answers: Arc<Answers>,
    stop: CancellationToken,
) {
    if let Err(err) = serve_one(stream, remote, answers, stop).await {
        debug!(%remote, %err, "a connection ended early");
    }
}

async fn serve_one(
    stream: TcpStream,
    remote: SocketAddr,
    answers: Arc<Answers>,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(&stream, UNTAKEN_MAX.as_millis() as u32)?;
    let (remote, local) = (canonical(remote), canonical(stream.local_addr()?));
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, std::convert::Infallible>(answers.answer(request, remote, local).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(HEAD_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// An IPv4 address is one, also where the listener is an IPv6 one that takes both.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped().map_or(addr, |ip| (ip, v6.port()).into()),
    }
}
