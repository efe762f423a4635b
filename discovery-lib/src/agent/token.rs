//! The ACL token of each request, also while the token file is not usable.
//!
//! Without a token an agent treats the request as anonymous and may answer with an empty list, which looks like a good answer. So with a token
//! file no request is sent without a token: while the file is blank, unreadable or half written, the last accepted token is used.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use tracing::{info, warn};

use super::credentials::{Secret, Token};
use crate::error::{Error, Kind};

/// A token that the agent rejected as unknown is not used again for this time, unless there is no other. It may be half written, or not
/// replicated to the agent's server yet.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// The tokens of one client.
#[derive(Debug)]
pub(super) struct Tokens {
    settings: Token,
    file: Mutex<File>,
}

/// The state of the tokens of the file.
#[derive(Debug, Default)]
struct File {
    /// The last token of the file that the agent accepted.
    good: Option<Secret>,
    /// The last one that it rejected, and until when it is not used again.
    refused: Option<(Secret, Instant)>,
    /// The fault of the file that was logged last.
    logged: Option<String>,
}

impl Tokens {
    pub(super) fn new(settings: Token) -> Self {
        Self { settings, file: Mutex::default() }
    }

    /// The token of the next request.
    ///
    /// # Errors
    /// The file is not usable, and never has been.
    pub(super) async fn current(&self) -> Result<Option<Secret>, Error> {
        let Some(path) = &self.settings.file else { return Ok(self.settings.value.clone()) };
        let read = read(path.clone()).await;
        self.file().choose(path, read, self.settings.value.as_ref(), Instant::now()).map(Some)
    }

    /// Records the answer to a request with this token. Returns another token to use at once if the agent rejected this one.
    pub(super) fn answered(
        &self,
        token: &Secret,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Secret> {
        self.settings.file.as_ref()?;
        let unknown = consul_wire::error::ACL_NOT_FOUND.as_bytes();
        let is_unknown = status == StatusCode::FORBIDDEN
            && body.windows(unknown.len()).any(|words| words == unknown);
        self.file().answered(token, is_unknown, Instant::now())
    }

    fn file(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File {
    fn choose(
        &mut self,
        path: &Path,
        read: Result<Secret, Error>,
        value: Option<&Secret>,
        now: Instant,
    ) -> Result<Secret, Error> {
        let wrong = match read {
            Ok(token) => {
                let is_refused =
                    self.refused.as_ref().is_some_and(|(it, until)| *it == token && now < *until);
                if self.logged.take().is_some() {
                    info!(file = %path.display(), "token file is usable again");
                }
                return Ok(self.good.clone().filter(|_| is_refused).unwrap_or(token));
            }
            Err(wrong) => wrong,
        };
        let Some(other) = self.good.as_ref().or(value) else { return Err(wrong) };
        let text = wrong.to_string();
        if self.logged.as_ref() != Some(&text) {
            let err: &(dyn std::error::Error + 'static) = &wrong;
            warn!(error = err, "token file is not usable; the last accepted token is used");
            self.logged = Some(text);
        }
        Ok(other.clone())
    }

    fn answered(&mut self, token: &Secret, is_unknown: bool, now: Instant) -> Option<Secret> {
        if !is_unknown {
            if self.good.as_ref() != Some(token) {
                self.good = Some(token.clone());
            }
            return None;
        }
        let other = self.good.clone().filter(|good| good != token)?;
        if self.refused.as_ref().is_none_or(|(refused, _)| refused != token) {
            warn!("the agent rejects the token of the token file; the last accepted one is used");
        }
        self.refused = Some((token.clone(), now + REFUSED_FOR));
        Some(other)
    }
}

/// The header with a token.
pub(super) fn header(token: &Secret) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::from_str(token.reveal()).map_err(|_| {
        Error::new(
            Kind::Setting,
            "the ACL token has a character that is not valid in a header, such as a line end",
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}

async fn read(path: PathBuf) -> Result<Secret, Error> {
    let shown = path.display().to_string();
    let wrong = |what: &str| Error::new(Kind::Setting, format!("the token file {shown} {what}"));
    let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path))
        .await
        .unwrap_or_else(|err| Err(std::io::Error::other(err)))
        .map_err(|err| wrong("can't be read").because(err))?;
    match text.trim() {
        "" => Err(wrong("is blank: it must contain an ACL token")),
        token if HeaderValue::from_str(token).is_err() => {
            Err(wrong("has a character that is not valid in a token, such as a line end"))
        }
        token => Ok(token.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        file: &mut File,
        read: Result<&str, &str>,
        value: Option<&str>,
        now: Instant,
    ) -> String {
        let read = read.map(Secret::from).map_err(|text| Error::new(Kind::Setting, text));
        let value = value.map(Secret::from);
        match file.choose(Path::new("token"), read, value.as_ref(), now) {
            Ok(token) => token.reveal().to_owned(),
            Err(err) => err.to_string(),
        }
    }

    #[test]
    fn while_the_file_is_not_usable_the_last_accepted_token_is_used() {
        let (mut file, now) = (File::default(), Instant::now());
        assert_eq!(chosen(&mut file, Err("blank"), None, now), "blank", "never anonymous");
        assert_eq!(chosen(&mut file, Err("blank"), Some("value"), now), "value");
        assert_eq!(chosen(&mut file, Ok("one"), Some("value"), now), "one");
        assert_eq!(
            chosen(&mut file, Err("blank"), None, now),
            "blank",
            "the agent never accepted it"
        );
        assert_eq!(file.answered(&"one".into(), false, now), None);
        assert_eq!(chosen(&mut file, Err("blank"), Some("value"), now), "one");
        assert_eq!(file.logged.as_deref(), Some("blank"));
        assert_eq!(chosen(&mut file, Ok("two"), None, now), "two");
        assert_eq!(file.logged, None);
    }

    #[test]
    fn a_rejected_token_is_replaced_by_the_last_accepted_one_for_a_while() {
        let (mut file, now) = (File::default(), Instant::now());
        let half = Secret::from("ha");
        assert_eq!(file.answered(&half, true, now), None, "there is no other");
        assert_eq!(file.answered(&"good".into(), false, now), None);
        assert_eq!(file.answered(&"good".into(), true, now), None, "it is the last good one");
        assert_eq!(chosen(&mut file, Ok("ha"), None, now), "ha");
        assert_eq!(file.answered(&half, true, now), Some("good".into()));
        for (later, token, expected) in
            [(0, "ha", "good"), (9, "ha", "good"), (0, "half", "half"), (10, "ha", "ha")]
        {
            let now = now + Duration::from_secs(later);
            assert_eq!(chosen(&mut file, Ok(token), None, now), expected, "after {later} s");
        }
    }
}
