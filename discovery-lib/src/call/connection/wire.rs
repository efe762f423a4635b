//! The connection of a call, in either version of HTTP.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use tokio::{net::TcpStream, runtime};

#[cfg(feature = "http2")]
use super::http2::Http2;
use super::{
    super::{
        failed_try::TryError,
        protocol::Protocol,
        request::Outgoing,
        tries::{Deadline, Limits, TryOutcome},
    },
    Connection, How, Share,
    http1::Http1,
    incoming::{BrokenOff, Incoming},
};
use crate::Host;

#[derive(Debug)]
pub(crate) enum Wire {
    Http1(Box<Http1>),
    #[cfg(feature = "http2")]
    Http2(Http2),
}

/// The same for both versions.
macro_rules! either {
    ($wire:expr, $it:ident => $result:expr) => {
        match $wire {
            Wire::Http1($it) => $result,
            #[cfg(feature = "http2")]
            Wire::Http2($it) => $result,
        }
    };
}

impl Wire {
    /// Opens an HTTP connection to a host, on a TCP stream.
    pub(crate) async fn open(
        stream: TcpStream,
        host: &Host,
        how: &How,
        limits: Limits,
    ) -> Result<Self, TryError> {
        let transport = how.transport(stream, host, limits.connect).await?;
        #[cfg(feature = "http2")]
        match how.protocol {
            Protocol::Http2 if transport.is_tls() && !transport.has_chosen_http2() => {
                return Err(TryError::NoHttp2);
            }
            Protocol::Auto if !transport.has_chosen_http2() => {}
            Protocol::Auto | Protocol::Http2 => {
                return Http2::open(transport, limits.connect).await.map(Self::Http2);
            }
            Protocol::Http1 => {}
        }
        Ok(Self::Http1(Box::new(Http1::open(transport, limits.answer).await?)))
    }

    /// Whether it is one of this protocol.
    pub(super) fn is(&self, protocol: Protocol) -> bool {
        match self {
            Self::Http1(_) => protocol != Protocol::Http2,
            #[cfg(feature = "http2")]
            Self::Http2(_) => protocol != Protocol::Http1,
        }
    }

    /// Whether it takes several requests at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            #[cfg(feature = "http2")]
            Self::Http2(_) => true,
        }
    }

    /// For the list of idle connections, if it takes several requests at the same time.
    pub(crate) fn listed(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            #[cfg(feature = "http2")]
            Self::Http2(connection) => Some(Self::Http2(connection.listed())),
        }
    }

    /// Whether both are parts of one connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            #[cfg(feature = "http2")]
            (Self::Http2(one), Self::Http2(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// Whether a request is under way on one in the list of idle connections.
    pub(super) fn is_in_use(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            #[cfg(feature = "http2")]
            Self::Http2(connection) => connection.is_in_use(),
        }
    }
}

impl Connection for Wire {
    async fn send(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> Result<Response<Incoming>, TryOutcome> {
        either!(self, connection => connection.send(request, limits).await)
    }

    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        either!(self, connection => connection.poll_frame(body, cx))
    }

    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        either!(self, connection => connection.poll_late(deadline, cx))
    }

    fn is_usable(&mut self) -> bool {
        either!(self, connection => connection.is_usable())
    }

    fn runtime(&self) -> runtime::Id {
        either!(self, connection => connection.runtime())
    }

    fn share(&self) -> Share<Self> {
        match self {
            Self::Http1(_) => Share::Alone,
            #[cfg(feature = "http2")]
            Self::Http2(connection) => match connection.share() {
                Share::With(part) => Share::With(Self::Http2(part)),
                Share::Alone => Share::Alone,
                Share::Full => Share::Full,
                Share::Ended => Share::Ended,
            },
        }
    }
}
