//! The TCP stream of a connection as hyper reads and writes it, with the state that the owner of the connection needs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::super::{failed_try::TryError, tls_error::TlsError};

/// Stands for the number of unsent bytes while the body has none yet.
const WAITING: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    traffic: Arc<Traffic>,
}

/// State that a socket shares with the owner of the connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes written since the connection was opened.
    written: AtomicU64,
    /// Successful reads since the connection was opened.
    read: AtomicU64,
    /// Bytes of the request's body that hyper has not taken yet.
    unsent: AtomicUsize,
    /// Whether all that hyper has taken is written.
    is_flushed: AtomicBool,
    /// Whether reads bypass the readiness of the runtime, until one finds nothing.
    asks_system: AtomicBool,
    /// What went wrong with TLS.
    fault: OnceLock<TlsError>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        limit_unsent(&stream);
        Self { stream, traffic: Arc::default() }
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    #[cfg(feature = "http2")]
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    #[cfg(feature = "tls")]
    pub(crate) fn note_fault(&self, fault: TlsError) {
        self.traffic.fault.get_or_init(|| fault);
    }

    /// Reads without checking the readiness in the runtime.
    fn read_now(&self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Enough for an alert of TLS. Without TLS one byte is enough: a connection that receives unrequested bytes is not used again.
        let mut bytes = [0; 64];
        let room = buf.remaining().min(bytes.len());
        match recv(&self.stream, &mut bytes[..room], RecvFlags::DONTWAIT) {
            Ok((_, length)) => {
                buf.put_slice(&bytes[..length]);
                Poll::Ready(Ok(()))
            }
            Err(rustix::io::Errno::AGAIN) => {
                self.traffic.asks_system.store(false, Relaxed);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// Limits the unsent bytes that the kernel buffers. With few of them, the number of bytes written shows the progress of a request.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) {
    const UNSENT_MAX: u32 = 128 * 1024;
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT not set");
    }
}

/// Elsewhere the option is missing or has no safe call. A stalled upload is noticed once the whole send buffer is full.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &TcpStream) {}

impl Traffic {
    /// Bytes written since the connection was opened.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Whether the instance refuses this client, and why: it has not served the request to which that is the response.
    pub(crate) fn refusal(&self) -> Option<TryError> {
        self.fault.get().filter(|fault| fault.is_refusal()).map(|&fault| TryError::Tls(fault))
    }

    /// Successful reads since the connection was opened.
    #[cfg(feature = "http2")]
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Only the task that drives the connection calls it, so it needs no read-modify-write.
    fn note_read(&self) {
        self.read.store(self.read.load(Relaxed) + 1, Relaxed);
    }

    /// This number of bytes of a request's body is not taken yet, and the taken bytes are not written yet.
    pub(crate) fn begin(&self, unsent: usize) {
        self.unsent.store(unsent, Relaxed);
        self.is_flushed.store(false, Relaxed);
    }

    /// Whether all of the request is written.
    pub(crate) fn is_sent(&self) -> bool {
        self.is_flushed.load(Relaxed) && self.unsent.load(Relaxed) == 0
    }

    /// The producer of the body has nothing to send.
    pub(crate) fn wait_for_body(&self) {
        self.unsent.store(WAITING, Relaxed);
    }

    /// hyper has taken the whole body.
    pub(crate) fn end_body(&self) {
        self.unsent.store(0, Relaxed);
    }

    /// Whether all bytes that the body has produced so far are written.
    pub(crate) fn is_starved(&self) -> bool {
        self.is_flushed.load(Relaxed) && self.unsent.load(Relaxed) == WAITING
    }

    /// Makes reads system calls until one finds nothing. Bytes that have arrived on an idle connection, and above all its end, are not visible in the runtime
    /// before it polls for events, which it does late while it has other work.
    pub(crate) fn ask_system(&self) {
        self.asks_system.store(true, Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_pending() && self.traffic.asks_system.load(Relaxed) {
            polled = self.read_now(buf);
        }
        if polled.is_ready() {
            self.traffic.note_read();
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.traffic.written.fetch_add(length as u64, Relaxed);
        Poll::Ready(Ok(length))
    }

    /// hyper calls this when it has written all its bytes.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.traffic.is_flushed.store(true, Relaxed);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
