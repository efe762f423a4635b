//! The credentials of a request: the ACL token, and user and password for a reverse proxy. They are never shown.

use std::{fmt, path::PathBuf};

/// A text that does not appear in logs, errors and `Debug`.
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
///
/// ```
/// use discovery::agent::{AgentSettings, BasicAuth};
///
/// let mut settings = AgentSettings::default();
/// settings.auth = Some(BasicAuth::new("user", "password"));
/// assert!(!format!("{settings:?}").contains("password\")"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BasicAuth {
    /// The user name, without a colon.
    pub user: String,
    /// The password; may be empty.
    pub password: Secret,
}

impl BasicAuth {
    /// A user, without a colon, and a password.
    pub fn new(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

/// The source of the ACL token. Default: none, for anonymous requests.
///
/// ```
/// use discovery::agent::Token;
///
/// let token = Token::default().file("/run/secrets/consul-token");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// `CONSUL_HTTP_TOKEN`: used if there is no file, or if the file has not held a token yet.
    pub value: Option<Secret>,
    /// `CONSUL_HTTP_TOKEN_FILE`: read for each request, so that a token can be replaced without a restart. While it is blank, unreadable or
    /// holds a token that the agent rejects as unknown, the last accepted token is used; without one, requests fail.
    pub file: Option<PathBuf>,
}

impl Token {
    /// Sets the token itself.
    #[must_use]
    pub fn value(mut self, value: impl Into<Secret>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Sets the file that holds the token.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }
}
