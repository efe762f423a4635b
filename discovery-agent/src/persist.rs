//! Registrations on disk: one file, which is replaced atomically, so that it is either the old or the new one, never a part.
//!
//! When it is written is decided by the [`Ledger`](crate::ledger::Ledger). It contains secrets, such as the headers of checks:
//! it always has mode 0600, and a directory that is created for it 0700.

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
/// The time to wait for the lock of a previous agent that is ending.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// The number of final write attempts of a closing agent, and the delay between them.
const CLOSING_TRIES: u32 = 3;
const CLOSING_RETRY: Duration = Duration::from_millis(250);
/// The format version of the file. An unknown version is an error.
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    saved_at: SystemTime,
    state: Saved,
}

/// An exclusively locked data directory, and the document found in it.
#[derive(Debug)]
pub(crate) struct Store {
    dir: Arc<DataDir>,
    found: Option<Document>,
}

/// A directory that is locked until this is dropped.
#[derive(Debug)]
struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Locks the directory, creating it if it does not exist, and reads it.
    ///
    /// # Errors
    ///
    /// The directory cannot be created or read, another agent has locked it, or its file is damaged or of an unknown version.
    pub(crate) async fn open(dir: &Path) -> Result<Self, Error> {
        let locked = DataDir::lock(dir).await?;
        let file = dir.join(FILE);
        let found = read(&file)?;
        if found.is_some() {
            let text = format!("can't set the mode of {} to 0600", file.display());
            make_private(&file).map_err(|err| Error::data(text, Some(err)))?;
        }
        Ok(Self { dir: Arc::new(locked), found })
    }

    /// The saved id of the node, so that it is the same after a restart.
    pub(crate) fn node_id(&self) -> Option<&str> {
        self.found.as_ref().map(|found| found.state.node_id.as_str())
    }

    /// Restores the saved state.
    pub(crate) fn restore(&mut self, identity: &Identity) -> State {
        let Some(found) = self.found.take() else { return State::new(identity) };
        // If the clock was set back, the downtime is unknown: assume zero.
        let away = SystemTime::now().duration_since(found.saved_at).unwrap_or(Duration::ZERO);
        State::restore(identity, found.state, away, Instant::now())
    }

    /// Writes the file whenever a write is due, and once more when the agent closes.
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
        error!(dir = %self.dir.path.display(), "the last changes are lost: they could not be written to disk");
    }

    /// Writes the changes that are not on disk. Returns whether all are on disk now.
    async fn write(&self, engine: &Engine) -> bool {
        let Some((changes, state)) = engine.begin_write() else { return true };
        let document = Document { version: VERSION, saved_at: SystemTime::now(), state };
        // The write holds the lock, so that it ends before another agent locks the directory.
        let locked = Arc::clone(&self.dir);
        let written = spawn_blocking(move || write(&locked.path, &document)).await;
        let dir = self.dir.path.display();
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => {
                if engine.written(changes) {
                    info!(%dir, "writing registrations to disk works again");
                }
                true
            }
            Err(err) => {
                if engine.not_written(changes) {
                    error!(%dir, error = %err, "registrations could not be written to disk; retrying");
                } else {
                    debug!(%dir, error = %err, "registrations could not be written to disk");
                }
                false
            }
        }
    }
}

impl DataDir {
    async fn lock(dir: &Path) -> Result<Self, Error> {
        let failed = |what: &str, err| {
            Error::data(format!("can't {what} the data directory {}", dir.display()), Some(err))
        };
        private_dir(dir).map_err(|err| failed("create", err))?;
        let mut create = File::options();
        let lock = private(create.write(true).create(true)).open(dir.join(LOCK_FILE));
        let lock = lock.map_err(|err| failed("write to", err))?;
        let give_up_at = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path: dir.to_owned(), _lock: lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => {
                    sleep(LOCK_RETRY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let text = format!(
                        "the data directory {} is in use by another agent: use a separate directory for each agent",
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
        let text = format!("{} has the unknown format version {version}: {remedy}", file.display());
        return Err(Error::data(text, None));
    }
    Ok(Some(document))
}

fn write(dir: &Path, document: &Document) -> io::Result<()> {
    let new = dir.join(NEW_FILE);
    // A leftover file may have other permissions, or be a symbolic link.
    match fs::remove_file(&new) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        Ok(()) | Err(_) => {}
    }
    let mut file = private(File::options().write(true).create_new(true)).open(&new)?;
    file.write_all(&serde_json::to_vec(document)?)?;
    file.sync_all()?;
    fs::rename(new, dir.join(FILE))?;
    // The rename itself must be synced too.
    File::open(dir)?.sync_all()
}

/// Creates the directory with mode 0700 if it does not exist. The mode of an existing one stays as it is.
fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// A new file gets mode 0600.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// An existing file gets mode 0600.
#[cfg(unix)]
fn make_private(file: &Path) -> io::Result<()> {
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}
