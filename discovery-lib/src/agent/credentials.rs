//! What a request is allowed by: the ACL token, and a user name where a reverse proxy asks for one. Neither is ever shown.

use std::{fmt, path::PathBuf};

/// A text that no log, no error and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// User and password of HTTP's basic authentication (`CONSUL_HTTP_AUTH`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Who.
    pub user: String,
    /// May be empty.
    pub password: Secret,
}

/// Where the ACL token comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// `CONSUL_HTTP_TOKEN`: what counts when there is no file, or the file has held no token yet.
    pub value: Option<Secret>,
    /// `CONSUL_HTTP_TOKEN_FILE`: read anew for each request, so that a token may be exchanged without a restart. While it is blank, unreadable
    /// or holds a token that the agent does not know, the last token that the agent knew stays; without one, requests fail.
    pub file: Option<PathBuf>,
}
