//! What a request is allowed by: the ACL token, and a user name where a reverse proxy asks for one. Neither is ever shown.

use std::{fmt, path::PathBuf};

use http::HeaderValue;

use crate::error::{Error, Kind};

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
    /// `CONSUL_HTTP_TOKEN`: what counts when there is no file, or the file is blank.
    pub value: Option<Secret>,
    /// `CONSUL_HTTP_TOKEN_FILE`: read anew for each request, so that a token may be exchanged without a restart.
    pub file: Option<PathBuf>,
}

impl Token {
    /// The token as it is now, as the header that carries it.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let from_file = match self.file.clone() {
            Some(path) => read(path).await?,
            None => None,
        };
        let Some(token) = from_file.or_else(|| self.value.clone()) else { return Ok(None) };
        let mut header = HeaderValue::from_str(token.reveal()).map_err(|_| {
            Error::new(
                Kind::Setting,
                "the ACL token has characters that a header can't carry (a line end, perhaps)",
            )
        })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// None when the file is blank.
async fn read(path: PathBuf) -> Result<Option<Secret>, Error> {
    let shown = path.display().to_string();
    let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path))
        .await
        .unwrap_or_else(|err| Err(std::io::Error::other(err)))
        .map_err(|err| {
            Error::new(Kind::Setting, format!("the token file {shown} can't be read")).because(err)
        })?;
    let token = text.trim();
    Ok((!token.is_empty()).then(|| token.into()))
}
