//! The client that waits for an answer: whether its sending side is open, and the progress of its request.

use std::{
    future::pending,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http_connections::Exchange;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// The client connection of a request that is being served.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: Arc<TcpStream>,
    exchange: Exchange,
}

impl Caller {
    pub(crate) const fn new(stream: Arc<TcpStream>, exchange: Exchange) -> Self {
        Self { stream, exchange }
    }

    /// The whole request is received, and is about to be served.
    pub(crate) fn in_progress(&self) {
        self.exchange.in_progress();
    }

    /// Returns once the client has shut its sending side, or has disconnected: the two look alike. Data that it has sent before and that is
    /// not read yet does not matter. Cancel safe.
    pub(crate) async fn has_sent_all(&self) {
        /// The kernel reports the end of the stream for any interest. An event that never occurs hides what the client has pipelined. On other systems pipelined data counts as an open stream.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const ITS_END: Interest = Interest::PRIORITY;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const ITS_END: Interest = Interest::READABLE;
        match self.stream.ready(ITS_END).await {
            Ok(ready) if !ready.is_read_closed() => pending().await,
            Ok(_) | Err(_) => {}
        }
    }
}

/// A stream that its connection reads and writes, and that a [`Caller`] observes.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Arc<TcpStream>);

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buf) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write_vectored(bufs) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Write).map_err(Into::into),
        )
    }
}
