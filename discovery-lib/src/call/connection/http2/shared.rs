//! One connection with all its users: the calls whose requests are under way on it, and the list of idle connections.
//!
//! A task drives it. It ends with the connection, or when the last user drops it, which closes the connection.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
    task::Poll,
};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::uri::Scheme;
use tokio::{
    runtime::{self, Handle},
    time::timeout_at,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{
        super::{failed_try::TryError, tries::Deadline},
        HEAD_MAX,
        socket::Traffic,
        transport::Transport,
    },
    sending::PIECE,
};
use crate::keepalive::keep_alive;

/// The maximum number of requests under way on one connection; a server may allow fewer. More calls open another connection.
pub(super) const STREAMS_MAX: usize = 100;
/// The bytes of one body that arrive before they are read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// That of all bodies: those that nobody reads never hold up another one.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX as u32;
/// The length of a head at which the h2 crate ends its stream without a reason of its own. Above [`HEAD_MAX`], the error of the try names that.
const HEAD_ENDS_STREAM: u32 = 4 * HEAD_MAX as u32;

pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    traffic: Arc<Traffic>,
    scheme: Scheme,
    runtime: runtime::Id,
    /// Requests under way.
    streams: AtomicUsize,
    /// No further request is sent on it.
    is_retired: AtomicBool,
    driver: AbortOnDropHandle<()>,
}

/// One request of those that a connection may have under way.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

impl Shared {
    /// Returns once the settings of the server have arrived: with them come its limit of streams and the certainty that it speaks HTTP/2,
    /// before any request is sent.
    pub(super) async fn open(
        transport: Transport,
        deadline: Deadline,
    ) -> Result<Arc<Self>, TryError> {
        if let Err(error) = keep_alive(transport.tcp()) {
            tracing::debug!(%error, "no TCP keepalive");
        }
        let traffic = transport.traffic();
        let scheme = if transport.is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
        let opened = timeout_at(deadline.at, handshake(transport)).await;
        let opened = opened.map_err(|_| TryError::NotConnected(deadline.span))?;
        let (sender, connection) =
            opened.map_err(|()| traffic.refusal().unwrap_or(TryError::NoHttp2))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection error");
            }
        });
        Ok(Arc::new(Self {
            sender,
            traffic,
            scheme,
            runtime: Handle::current().id(),
            streams: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
            driver: AbortOnDropHandle::new(driver),
        }))
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme.clone()
    }

    pub(super) fn runtime(&self) -> runtime::Id {
        self.runtime
    }

    /// A slot for a request, if one is free.
    pub(super) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let max = self.sender.current_max_send_streams().min(STREAMS_MAX);
        let one_more = |streams| (streams < max).then_some(streams + 1);
        self.streams.fetch_update(AcqRel, Relaxed, one_more).ok()?;
        Some(Slot(Arc::clone(self)))
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load(Relaxed) > 0
    }

    /// Whether another request than that of the caller is under way.
    pub(super) fn is_shared(&self) -> bool {
        self.streams.load(Relaxed) > 1
    }

    /// Requests under way have their responses, further ones use another connection.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_retired.load(Relaxed) || self.driver.is_finished()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, AcqRel);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("traffic", &self.traffic)
            .field("streams", &self.streams)
            .field("is_retired", &self.is_retired)
            .finish_non_exhaustive()
    }
}

type Opened = (SendRequest<Bytes>, Connection<Transport, Bytes>);

/// # Errors
///
/// The server does not speak HTTP/2, or refuses this client.
async fn handshake(transport: Transport) -> Result<Opened, ()> {
    let opening = Builder::new()
        .enable_push(false)
        // The settings of the server raise it.
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_ENDS_STREAM)
        .max_send_buffer_size(PIECE)
        .handshake(transport);
    let (sender, mut connection) = opening.await.map_err(drop)?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_) => Poll::Ready(Err(())),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, connection))
}
