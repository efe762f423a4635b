//! The one error type of this library.

use std::fmt;

/// Why a configuration can't be used, or the ambassador can't run.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    /// What was wrong and what would be right: a fragment without a full stop.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The configuration is wrong by itself.
    Config,
    /// The system refused something: a port in use, no thread.
    System,
}

impl Error {
    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self { kind: Kind::Config, text: text.into() }
    }

    pub(crate) fn system(text: impl Into<String>) -> Self {
        Self { kind: Kind::System, text: text.into() }
    }

    /// The configuration is wrong by itself: correct it. Nothing was tried.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.kind == Kind::Config
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
