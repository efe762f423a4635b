//! Registrations on disk: one file, written whole and put in place at once, so that it is either the old one or the new one, never half of one.
//!
//! When it is written is decided by the [`Ledger`](crate::ledger::Ledger). It holds what only its owner may read, such as the headers of checks:
//! it is always 0600, and a directory that is made for it is 0700.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::{debug, error, info};

use crate::{
    Error,
    engine::Engine,
    state::{Identity, Saved, State},
};

const FILE: &str = "registrations.json";
const NEW_FILE: &str = "registrations.json.new";
const LOCK_FILE: &str = "lock";
/// An agent that ends needs a moment to let go of its directory: the next one waits so long for that.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// A closing agent tries so often to write what is not on disk, with this much time in between.
const CLOSING_TRIES: u32 = 3;
const CLOSING_RETRY: Duration = Duration::from_millis(250);
/// The form of the file. One that is not known is not guessed at.
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    saved_at: SystemTime,
    state: Saved,
}

/// A directory that is this agent's alone, and what was in it.
#[derive(Debug)]
pub(crate) struct Store {
    place: Arc<Place>,
    found: Option<Document>,
}

/// A directory that is locked for as long as this lives.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes the directory, making it if it is not there, and reads it.
    ///
    /// # Errors
    ///
    /// It can't be made or read, another agent has it, or the file in it is not understood.
    pub(crate) async fn open(dir: &Path) -> Result<Self, Error> {
        let place = Place::take(dir).await?;
        let file = dir.join(FILE);
        let found = read(&file)?;
        if found.is_some() {
            let text = format!("can't make {} private", file.display());
            make_private(&file).map_err(|err| Error::data(text, Some(err)))?;
        }
        Ok(Self { place: Arc::new(place), found })
    }

    /// The node's id is kept, so that the node is the same after a restart.
    pub(crate) fn node_id(&self) -> Option<&str> {
        self.found.as_ref().map(|found| found.state.node_id.as_str())
    }

    /// The state as it was left.
    pub(crate) fn restore(&mut self, identity: &Identity) -> State {
        let Some(found) = self.found.take() else { return State::new(identity) };
        // A clock that was set back tells nothing: as if no time had passed.
        let away = SystemTime::now().duration_since(found.saved_at).unwrap_or(Duration::ZERO);
        State::restore(identity, found.state, away, Instant::now())
    }

    /// Keeps the file up to date until the agent closes, and then once more.
    pub(crate) async fn keep(self, engine: Arc<Engine>) {
        while engine.write_is_due().await {
            self.write(&engine).await;
        }
        for tries_left in (0..CLOSING_TRIES).rev() {
            if self.write(&engine).await {
                return;
            }
            if tries_left > 0 {
                sleep(CLOSING_RETRY).await;
            }
        }
        error!(dir = %self.place.dir.display(), "the last changes are lost: they could not be kept on disk");
    }

    /// Writes what is not on disk; whether all is there now.
    async fn write(&self, engine: &Engine) -> bool {
        let Some((changes, state)) = engine.begin_write() else { return true };
        let document = Document { version: VERSION, saved_at: SystemTime::now(), state };
        // The write has a hold on the lock, so that it is over before another agent has the directory.
        let place = Arc::clone(&self.place);
        let written = spawn_blocking(move || write(&place.dir, &document)).await;
        let dir = self.place.dir.display();
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => {
                if engine.written(changes) {
                    info!(%dir, "registrations are kept on disk again");
                }
                true
            }
            Err(err) => {
                if engine.not_written(changes) {
                    error!(%dir, %err, "registrations could not be kept on disk; trying again");
                } else {
                    debug!(%dir, %err, "registrations could not be kept on disk");
                }
                false
            }
        }
    }
}

impl Place {
    async fn take(dir: &Path) -> Result<Self, Error> {
        let failed = |what: &str, err| {
            Error::data(format!("can't {what} the data directory {}", dir.display()), Some(err))
        };
        private_dir(dir).map_err(|err| failed("make", err))?;
        let mut create = File::options();
        let lock = private(create.write(true).create(true)).open(dir.join(LOCK_FILE));
        let lock = lock.map_err(|err| failed("write to", err))?;
        let give_up_at = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_owned(), _lock: lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => {
                    sleep(LOCK_RETRY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let text = format!(
                        "the data directory {} belongs to another agent that is running: give each its own",
                        dir.display()
                    );
                    return Err(Error::data(text, None));
                }
                Err(TryLockError::Error(err)) => return Err(failed("lock", err)),
            }
        }
    }
}

fn read(file: &Path) -> Result<Option<Document>, Error> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(Error::data(format!("can't read {}", file.display()), Some(err))),
    };
    let remedy = "move it away to start with nothing registered";
    let document: Document = serde_json::from_slice(&text).map_err(|err| {
        let text = format!("{} is damaged: {remedy}", file.display());
        Error::data(text, Some(err.into()))
    })?;
    if document.version != VERSION {
        let version = document.version;
        let text = format!("{} has the unknown form {version}: {remedy}", file.display());
        return Err(Error::data(text, None));
    }
    Ok(Some(document))
}

fn write(dir: &Path, document: &Document) -> io::Result<()> {
    let new = dir.join(NEW_FILE);
    // One that was left over may be open to others, or lead elsewhere.
    match fs::remove_file(&new) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        Ok(()) | Err(_) => {}
    }
    let mut file = private(File::options().write(true).create_new(true)).open(&new)?;
    file.write_all(&serde_json::to_vec(document)?)?;
    file.sync_all()?;
    fs::rename(new, dir.join(FILE))?;
    // The rename itself must reach the disk too.
    File::open(dir)?.sync_all()
}

/// Makes the directory, for its owner alone, if it is not there. One that is there may hold other things: it stays as it is.
fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// A file that is made is for its owner alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A file that is there becomes its owner's alone.
#[cfg(unix)]
fn make_private(file: &Path) -> io::Result<()> {
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}
