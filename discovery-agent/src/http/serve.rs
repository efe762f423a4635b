//! Accepts connections, and closes them.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_connections::{Acceptor, End, Limits, Permit, Stream};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Api, Reply,
    caller::{Caller, Shared},
};
use crate::{engine::Stage, fault::Faults};

/// The maximum length of a request head, in bytes. Longer ones are refused with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The maximum number of headers. More are refused with 431.
const HEADERS_MAX: usize = 128;
/// The maximum number of connections; fewer where there are fewer file descriptors ([`Limits::connections`]).
const CONNECTIONS_MAX: usize = 8192;
/// The maximum number of connections of one client: Consul's `http_max_conns_per_client`. For one more, an idle connection of the same client is
/// closed; without an idle one, the new connection is reset.
const CONNECTIONS_PER_CLIENT_MAX: usize = 200;
/// The time limit from the first byte of a request head to its end.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The idle timeout of a connection. Consul has none; but then an abandoned connection keeps its permit forever.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// The time that a stopping agent gives its connections to finish.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Serves until the agent stops, and returns when the last connection is closed. Dropping it closes all at once.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, faults: Arc<Faults>) {
    let stop = CancellationToken::new();
    let mut acceptor = Acceptor::new(listener, limits(), stop.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, from, permit) = acceptor.next() => {
                let (api, faults) = (Arc::clone(&api), Arc::clone(&faults));
                connections.spawn(connection(stream, from, permit, api, faults));
            }
            Some(_) = connections.join_next() => {}
            () = api.engine.reached(Stage::Stopping) => break,
        }
    }
    drop(acceptor);
    stop.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_GRACE, ended).await.is_err() {
        debug!("connections that did not finish in time were closed");
    }
}

fn limits() -> Limits {
    Limits {
        connections: Limits::connections(CONNECTIONS_MAX),
        per_client: Some(CONNECTIONS_PER_CLIENT_MAX),
        head: HEAD_WITHIN,
        idle: IDLE_MAX,
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    permit: Permit,
    api: Arc<Api>,
    faults: Arc<Faults>,
) {
    let (api, faults) = (&*api, &*faults);
    let cut = faults.cut();
    let stream = Arc::new(stream);
    let (exchanges, shared) = (permit.exchanges(), Arc::clone(&stream));
    let service = service_fn(move |request| {
        api.engine.count_request();
        let caller = Caller::new(Arc::clone(&shared), exchanges.begin());
        async move {
            let answer = api.answer(request, &caller);
            faults.intercept(&caller, answer).await.map(Reply::into_response)
        }
    });
    let serving = http1::Builder::new()
        // A client that has shut its sending side still waits for its answer. Time limits are those of the permit.
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(Stream::new(Shared(stream), &permit)), service);
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = cut => return,
        end = permit.ended() => {
            if end == End::Immediate {
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(err) = served {
        debug!(remote = %from, error = %err, "connection error");
    }
}
