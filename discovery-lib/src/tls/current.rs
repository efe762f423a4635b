//! The configuration of the next connection, also while the files are not usable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::rustls::ClientConfig;
use tracing::{info, warn};

use super::{Tls, config, files::Files};
use crate::error::{Error, Kind};

/// The configuration of one client. Clones share it.
#[derive(Clone)]
pub(crate) struct Current(Arc<Shared>);

struct Shared {
    tls: Tls,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last files that could be used, and what was made of them.
    good: Option<(Files, Arc<ClientConfig>)>,
    /// The fault that was logged last.
    logged: Option<String>,
}

impl Current {
    /// Reads nothing yet.
    pub(crate) fn new(tls: Tls) -> Self {
        Self(Arc::new(Shared { tls, state: Mutex::default() }))
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.0.tls
    }

    /// Reads the files, unless that has succeeded before.
    ///
    /// # Errors
    /// They are not usable.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let has_good = self.0.state().good.is_some();
        if has_good { Ok(()) } else { self.config().await.map(drop) }
    }

    /// The configuration of the next connection, from the files as they are now.
    ///
    /// # Errors
    /// The files are not usable, and never have been.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let tls = &shared.tls;
            let read = Files::read(tls);
            shared.state().choose(read, |files| config::build(tls, files))
        })
        .await
        .unwrap_or_else(|err| {
            Err(Error::new(Kind::Setting, "the TLS files were not read").because(err))
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn choose(
        &mut self,
        read: Result<Files, Error>,
        build: impl FnOnce(&Files) -> Result<ClientConfig, Error>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let made = read.and_then(|files| match &self.good {
            Some((same, config)) if *same == files => Ok((files, Arc::clone(config))),
            _ => build(&files).map(|config| (files, Arc::new(config))),
        });
        match made {
            Ok((files, config)) => {
                if self.logged.take().is_some() {
                    info!("TLS files are usable again");
                }
                if self.good.as_ref().is_some_and(|(before, _)| *before != files) {
                    info!("TLS files have changed; new connections use them");
                }
                self.good = Some((files, Arc::clone(&config)));
                Ok(config)
            }
            Err(wrong) => {
                let Some((_, config)) = &self.good else { return Err(wrong) };
                let text = wrong.to_string();
                if self.logged.as_ref() != Some(&text) {
                    let err: &(dyn std::error::Error + 'static) = &wrong;
                    warn!(error = err, "TLS files are not usable; the last good ones are used");
                    self.logged = Some(text);
                }
                Ok(Arc::clone(config))
            }
        }
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Current").field(&self.0.tls).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn files(text: &str) -> Files {
        Files::of_client(text.as_bytes(), b"key")
    }

    fn wrong(text: &str) -> Error {
        Error::new(Kind::Setting, text)
    }

    #[test]
    fn while_the_files_are_not_usable_the_last_good_ones_are_used() {
        let (mut state, built) = (State::default(), Cell::new(0));
        let build = |_: &Files| {
            built.set(built.get() + 1);
            config::build(&Tls::default().unverified(), &Files::none())
        };
        let refuse = |_: &Files| Err(wrong("not PEM"));
        let first = state.choose(Err(wrong("empty")), build).unwrap_err();
        assert_eq!(first.to_string(), "empty", "there are no good ones");
        let one = state.choose(Ok(files("one")), build).unwrap();
        let same = state.choose(Ok(files("one")), build).unwrap();
        assert!(
            Arc::ptr_eq(&one, &same) && built.get() == 1,
            "the same files are not parsed again"
        );
        for (read, logged) in [(Err(wrong("empty")), "empty"), (Ok(files("ha")), "not PEM")] {
            let kept = state.choose(read, refuse).unwrap();
            assert!(Arc::ptr_eq(&one, &kept));
            assert_eq!(state.logged.as_deref(), Some(logged));
        }
        let same = state.choose(Ok(files("one")), build).unwrap();
        assert!(Arc::ptr_eq(&one, &same) && state.logged.is_none());
        let two = state.choose(Ok(files("two")), build).unwrap();
        assert!(!Arc::ptr_eq(&one, &two) && built.get() == 2);
    }
}
