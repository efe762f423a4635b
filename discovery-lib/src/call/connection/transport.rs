//! The bytes of a connection: a socket, with or without TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(feature = "tls")]
use tokio_rustls::client::TlsStream;

#[cfg(feature = "tls")]
use super::super::{failed_try::TryError, protocol::Protocol, tls::InstanceTls, tries::Deadline};
use super::socket::{Socket, Traffic};
#[cfg(feature = "tls")]
use crate::Host;

#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    /// The socket is below TLS: it counts the bytes that are written, as they are sent.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<Socket>>),
}

/// The same with and without TLS.
macro_rules! either {
    ($transport:expr, $it:ident => $result:expr) => {
        match $transport {
            Transport::Plain($it) => $result,
            #[cfg(feature = "tls")]
            Transport::Tls($it) => $result,
        }
    };
}

impl Transport {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::Plain(Socket::new(stream))
    }

    /// The handshake with an instance.
    #[cfg(feature = "tls")]
    pub(super) async fn tls(
        stream: TcpStream,
        tls: &InstanceTls,
        host: &Host,
        protocol: Protocol,
        deadline: Deadline,
    ) -> Result<Self, TryError> {
        let stream = tls.connect(host, Socket::new(stream), protocol, deadline).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    #[cfg(feature = "http2")]
    pub(super) fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Whether the instance chose HTTP/2 in the handshake.
    #[cfg(feature = "http2")]
    pub(super) fn has_chosen_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.get_ref().1.alpn_protocol() == Some(super::super::protocol::ALPN_HTTP2)
            }
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    pub(super) fn traffic(&self) -> Arc<Traffic> {
        self.socket().traffic()
    }

    #[cfg(feature = "http2")]
    pub(super) fn tcp(&self) -> &TcpStream {
        self.socket().tcp()
    }

    /// Keeps what the instance says of this client: HTTP has no place for it in its errors.
    #[cfg(feature = "tls")]
    fn note(&self, result: &io::Result<()>) {
        if let (Self::Tls(_), Err(error)) = (self, result)
            && let Some(cause) = crate::tls::cause(error)
        {
            self.socket().note_fault(super::super::TlsError::of(cause));
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = either!(&mut *self, stream => Pin::new(stream).poll_read(cx, buf));
        #[cfg(feature = "tls")]
        if let Poll::Ready(result) = &polled {
            self.note(result);
        }
        polled
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
