//! The version of HTTP of calls.

/// The version of HTTP in which instances are called ([`CallOptions::protocol`](crate::CallOptions)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1: a connection per call in flight.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge (RFC 9113, 3.3): calls in flight share a connection. An instance that has HTTP/1.1 only fails each try. Needs
    /// the feature `http2`.
    Http2,
}

impl Protocol {
    /// Whether calls in flight share a connection.
    pub(crate) fn is_shared(self) -> bool {
        self == Self::Http2
    }
}
