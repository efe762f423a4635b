//! The ACL token of each request, and what is done while its file says nothing usable.
//!
//! Without a token an agent takes whoever asks for anonymous and may answer that there is nobody, which is believed. So a file that is named
//! always leads to a token: while it is blank, unreadable or half written, the last token that the agent knew stays.

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

/// A token that the agent did not know is not tried again for so long, unless there is no other. It may be half written, or not have reached
/// the agent's server yet.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Where the tokens of one client come from.
#[derive(Debug)]
pub(super) struct Tokens {
    settings: Token,
    file: Mutex<File>,
}

/// What is known of the file's tokens.
#[derive(Debug, Default)]
struct File {
    /// The last token of the file that the agent knew.
    good: Option<Secret>,
    /// The last one that it did not know, and until when it is not tried again.
    refused: Option<(Secret, Instant)>,
    /// What is wrong with the file, as it was told.
    told: Option<String>,
}

impl Tokens {
    pub(super) fn new(settings: Token) -> Self {
        Self { settings, file: Mutex::default() }
    }

    /// The token of the next request.
    ///
    /// # Errors
    /// A file is named, says nothing usable, and never did.
    pub(super) async fn current(&self) -> Result<Option<Secret>, Error> {
        let Some(path) = &self.settings.file else { return Ok(self.settings.value.clone()) };
        let read = read(path.clone()).await;
        self.file().choose(path, read, self.settings.value.as_ref(), Instant::now()).map(Some)
    }

    /// What the agent answered to a request with this token; another token to ask with at once, where it did not know this one.
    pub(super) fn answered(
        &self,
        token: &Secret,
        status: StatusCode,
        said: &[u8],
    ) -> Option<Secret> {
        self.settings.file.as_ref()?;
        let unknown = consul_wire::error::ACL_NOT_FOUND.as_bytes();
        let is_unknown = status == StatusCode::FORBIDDEN
            && said.windows(unknown.len()).any(|words| words == unknown);
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
                if self.told.take().is_some() {
                    info!(file = %path.display(), "token file can be used again");
                }
                return Ok(self.good.clone().filter(|_| is_refused).unwrap_or(token));
            }
            Err(wrong) => wrong,
        };
        let Some(other) = self.good.as_ref().or(value) else { return Err(wrong) };
        let text = wrong.to_string();
        if self.told.as_ref() != Some(&text) {
            let err: &(dyn std::error::Error + 'static) = &wrong;
            warn!(err, "token file can't be used; the last good token stays");
            self.told = Some(text);
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
            warn!("the agent does not know the token in the token file; the last good one stays");
        }
        self.refused = Some((token.clone(), now + REFUSED_FOR));
        Some(other)
    }
}

/// The header that carries a token.
pub(super) fn header(token: &Secret) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::from_str(token.reveal()).map_err(|_| {
        Error::new(
            Kind::Setting,
            "the ACL token has characters that a header can't carry (a line end, perhaps)",
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
        "" => Err(wrong("is blank: it takes an ACL token")),
        token if HeaderValue::from_str(token).is_err() => {
            Err(wrong("has characters that no token has (a line end, perhaps)"))
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
    fn a_file_that_says_nothing_usable_leaves_the_last_good_token() {
        let (mut file, now) = (File::default(), Instant::now());
        assert_eq!(chosen(&mut file, Err("blank"), None, now), "blank", "never anonymous");
        assert_eq!(chosen(&mut file, Err("blank"), Some("value"), now), "value");
        assert_eq!(chosen(&mut file, Ok("one"), Some("value"), now), "one");
        assert_eq!(chosen(&mut file, Err("blank"), None, now), "blank", "the agent never knew it");
        assert_eq!(file.answered(&"one".into(), false, now), None);
        assert_eq!(chosen(&mut file, Err("blank"), Some("value"), now), "one");
        assert_eq!(file.told.as_deref(), Some("blank"));
        assert_eq!(chosen(&mut file, Ok("two"), None, now), "two");
        assert_eq!(file.told, None);
    }

    #[test]
    fn a_token_that_the_agent_does_not_know_gives_way_to_the_last_good_one_for_a_while() {
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
