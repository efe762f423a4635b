//! The version of HTTP of calls.

/// The version of HTTP in which instances are called ([`CallOptions::protocol`](crate::CallOptions)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// With TLS, what the instance chooses of HTTP/2 and HTTP/1.1 (ALPN, RFC 7301). Without TLS, or without the feature `http2`: HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1: a connection per call in flight.
    Http1,
    /// HTTP/2: calls in flight share a connection. Without TLS by prior knowledge (RFC 9113, 3.3). An instance that has HTTP/1.1 only fails each
    /// try. Needs the feature `http2`.
    Http2,
}

/// The names of the versions in a handshake of TLS.
#[cfg(all(feature = "tls", feature = "http2"))]
pub(super) const ALPN_HTTP2: &[u8] = b"h2";
#[cfg(feature = "tls")]
const ALPN_HTTP1: &[u8] = b"http/1.1";

impl Protocol {
    /// What it is without a choice of the instance.
    pub(super) fn resolve(self, is_tls: bool) -> Self {
        match self {
            Self::Auto if !is_tls || !cfg!(feature = "http2") => Self::Http1,
            protocol => protocol,
        }
    }

    /// Whether calls in flight may share a connection.
    pub(super) fn may_share(self) -> bool {
        self != Self::Http1
    }

    /// What is offered in a handshake of TLS.
    #[cfg(feature = "tls")]
    pub(super) fn offered(self) -> &'static [&'static [u8]] {
        match self {
            #[cfg(feature = "http2")]
            Self::Auto => &[ALPN_HTTP2, ALPN_HTTP1],
            #[cfg(feature = "http2")]
            Self::Http2 => &[ALPN_HTTP2],
            _ => &[ALPN_HTTP1],
        }
    }
}
