//! Accepting connections, and ending them.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    Api,
    clients::{Clients, Place},
};
use crate::engine::Stage;

/// Longer heads are refused with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// More headers are refused with 431.
const HEADERS_MAX: usize = 128;
/// A connection may say nothing for so long, or take so long over a head. Consul waits for ever; but then one that was forgotten by its client
/// keeps its place for ever too.
const QUIET_MAX: Duration = Duration::from_secs(300);
/// When there are no descriptors left, new connections wait this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// A stopping agent gives its connections this long to end what they are at.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Serves until the agent stops, and returns when the last connection has ended. Dropping it ends all at once.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>) {
    let clients = Arc::new(Clients::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    if let Some(place) = admit(&stream, from, &clients) {
                        connections.spawn(connection(stream, place, Arc::clone(&api)));
                    }
                }
                Err(err) => {
                    warn!(%err, "a connection could not be accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = api.engine.until(|conduct| conduct.stage != Stage::Serving) => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_GRACE, ended).await.is_err() {
        debug!("connections that did not end in time were closed");
    }
}

/// A place for the connection. Without one it is reset, as Consul does: nothing is read, nothing is answered.
fn admit(stream: &TcpStream, from: SocketAddr, clients: &Arc<Clients>) -> Option<Place> {
    let place = clients.take(from.ip());
    let prepared = match place {
        Some(_) => stream.set_nodelay(true),
        None => {
            warn!(client = %from.ip(), "a client has too many connections; one more was reset");
            stream.set_zero_linger()
        }
    };
    if let Err(err) = prepared {
        debug!(%err, "a socket's option could not be set");
    }
    place
}

async fn connection(stream: TcpStream, place: Place, api: Arc<Api>) {
    let _place = place;
    let engine = Arc::clone(&api.engine);
    let life = engine.conduct().life;
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, io::Error>(api.handle(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(QUIET_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        conduct = engine.until(|conduct| conduct.stage != Stage::Serving || conduct.life != life) => {
            if conduct.life != life {
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(err) = served {
        debug!(%err, "a connection ended in disorder");
    }
}
