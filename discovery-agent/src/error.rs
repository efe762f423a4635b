//! The error of this crate: opaque, with texts for the operator of the agent.

use std::{fmt, io, net::SocketAddr};

/// The reason for which the agent did not start, or ended unexpectedly.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    /// A fragment without a full stop: what failed, and what to do about it where that is known.
    text: String,
    source: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Listen,
    Data,
    Failed,
}

impl Error {
    pub(crate) fn listen(protocol: &str, addr: SocketAddr, source: io::Error) -> Self {
        let text = if source.kind() == io::ErrorKind::AddrInUse {
            format!(
                "{protocol} {addr} is taken by another program: choose another port, or 0 for any free port"
            )
        } else {
            format!("can't listen on {protocol} {addr}")
        };
        Self(Box::new(Inner { kind: Kind::Listen, text, source: Some(source) }))
    }

    pub(crate) fn data(text: String, source: Option<io::Error>) -> Self {
        Self(Box::new(Inner { kind: Kind::Data, text, source }))
    }

    pub(crate) fn failed(text: String) -> Self {
        Self(Box::new(Inner { kind: Kind::Failed, text, source: None }))
    }

    /// Another program has the address that the agent was to listen on.
    pub fn is_address_in_use(&self) -> bool {
        let source = self.0.source.as_ref();
        self.0.kind == Kind::Listen
            && source.is_some_and(|source| source.kind() == io::ErrorKind::AddrInUse)
    }

    /// The directory with the agent's data can't be used as it is.
    pub fn is_data(&self) -> bool {
        self.0.kind == Kind::Data
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}
