//! A connection that keeps the error that ended it. hyper reports that error to the request in flight only: the next request fails because the
//! connection is not ready, or never ends.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A connection.
pub(super) struct Stream {
    io: Box<dyn Duplex>,
    end: End,
    _dropped: DropGuard,
}

/// The end of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    reached: CancellationToken,
    cause: Arc<OnceLock<SharedError>>,
}

/// An `io::Error` for two readers.
#[derive(Debug, Clone)]
struct SharedError(Arc<io::Error>);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Stream {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let end = End::default();
        let _dropped = end.reached.clone().drop_guard();
        Self { io: Box::new(stream), end, _dropped }
    }
}

impl End {
    /// That of the connection of a request.
    pub(super) fn of(info: &Connected) -> Option<Self> {
        let mut extras = http::Extensions::new();
        info.get_extras(&mut extras);
        extras.remove()
    }

    /// Waits until the connection is dropped. hyper has ended the requests that it sent on it by then.
    pub(super) async fn reached(&self) {
        self.reached.cancelled().await;
    }

    /// The first error of the connection.
    pub(super) fn cause(&self) -> Option<&io::Error> {
        self.cause.get().map(|err| &*err.0)
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|err| {
            let (kind, err) = (err.kind(), SharedError(Arc::new(err)));
            self.cause.get_or_init(|| err.clone());
            io::Error::new(kind, err)
        })
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.end.clone())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        Poll::Ready(self.end.note(result))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        Poll::Ready(self.end.note(result))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.io).poll_flush(cx));
        Poll::Ready(self.end.note(result))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Its failure is no cause: the connection has ended already.
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
