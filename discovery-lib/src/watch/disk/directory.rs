//! The directory of the files: one per query, each replaced atomically, so that it is the old one or the new one, never a part. Blocks the
//! thread.
//!
//! A user who can write a file here can direct calls to any address. So a file counts only if this user owns it and nobody else can write it, also in
//! a directory that is open to all, such as the `emptyDir` of Kubernetes.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::fs::OFlags;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info};

use super::document::{AGE_MAX, FILE_BYTES_MAX, SUFFIX};
use crate::{Error, error::Kind};

/// Files in a directory, and so queries of a program. Above that, those of other queries are not written.
const FILES_MAX: usize = 1024;
/// Files that are read or written at the same time.
const AT_ONCE_MAX: usize = 8;
/// Entries of a directory that are looked at to remove old files.
const ENTRIES_MAX: usize = 16 * FILES_MAX;
/// A temporary file of this age was left by a program that crashed.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// The end of the name of a temporary file, after that of a file.
const TEMPORARY: &str = ".new";
/// Write access for the group and for others.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// The directory of one program, or of several that ask the same Consul.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The names of its files.
    names: Mutex<HashSet<String>>,
    permits: Arc<Semaphore>,
}

impl Directory {
    /// Creates it with mode 0700 if there is none, and removes files that are too old to be used.
    ///
    /// # Errors
    /// It can't be created, read or written.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            // The working directory may change.
            let path = fs::canonicalize(path)?;
            let names = sweep(&path, SystemTime::now())?;
            let probe = path.join(temporary(&format!("probe{SUFFIX}")));
            private().open(&probe)?;
            fs::remove_file(probe)?;
            let permits = Arc::new(Semaphore::new(AT_ONCE_MAX));
            Ok(Self { path, names: Mutex::new(names), permits })
        };
        open().map_err(|err: io::Error| {
            let path = path.display();
            let text = format!(
                "the directory for snapshots {path} can't be used: {err}; it must be a directory that this program may read and write, or that it may create"
            );
            Error::new(Kind::Setting, text)
        })
    }

    /// The right to read or write one file.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.permits).acquire_owned().await
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The bytes of a file, at most one more than the limit; None if there is no such file.
    ///
    /// # Errors
    /// It can't be read, or someone else may have written it.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        // Neither follows a link, nor waits for the writer of a pipe.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let opened =
            File::options().read(true).custom_flags(flags.cast_signed()).open(self.path_of(name));
        let file = match opened {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || metadata.mode() & OTHERS_MAY_WRITE != 0 {
            return Err(io::Error::other("another user owns it or can write it"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces a file.
    ///
    /// # Errors
    /// It could not be written: the old one is still there. Or it could not be synced: then it may be either after a crash of the machine.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.admit(name)?;
        let new = self.path.join(temporary(name));
        let written = replace(&new, &self.path_of(name), bytes);
        if written.is_err()
            && let Err(err) = fs::remove_file(&new)
        {
            debug!(file = %new.display(), error = %err, "temporary file could not be removed");
        }
        written?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// It could not be removed.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path_of(name)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            Ok(()) | Err(_) => {}
        }
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Whether there may be a file of this name.
    fn admit(&self, name: &str) -> io::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(name) {
            return Ok(());
        }
        if names.len() >= FILES_MAX {
            *names = sweep(&self.path, SystemTime::now())?;
        }
        if names.len() >= FILES_MAX {
            let text = format!("the directory has {FILES_MAX} files, which is the limit");
            return Err(io::Error::other(text));
        }
        names.insert(name.to_owned());
        Ok(())
    }
}

fn replace(new: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut written = private().open(new)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(new, file)
}

/// A new file with mode 0600.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options
}

/// A name that no other writer has, also in another process.
fn temporary(name: &str) -> String {
    format!("{name}.{:016x}{TEMPORARY}", fastrand::u64(..))
}

/// Removes the files of queries that were not asked for a long time, and what crashed programs left. Returns the names of the others.
fn sweep(path: &Path, now: SystemTime) -> io::Result<HashSet<String>> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(path)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let age_max = match kind(&name) {
            Some(Found::Snapshot) => AGE_MAX,
            Some(Found::Temporary) => TEMPORARY_AGE_MAX,
            None => continue,
        };
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > age_max) {
            let file = entry.path();
            match fs::remove_file(&file) {
                Ok(()) => info!(file = %file.display(), "old snapshot removed from disk"),
                Err(err) => {
                    debug!(file = %file.display(), error = %err, "old snapshot could not be removed");
                }
            }
        } else if kind(&name) == Some(Found::Snapshot) {
            names.insert(name);
        }
    }
    Ok(names)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Snapshot,
    Temporary,
}

/// What a file is, by its name; None if it is not one of these.
fn kind(name: &str) -> Option<Found> {
    if name.ends_with(SUFFIX) {
        return Some(Found::Snapshot);
    }
    let (file, _) = name.strip_suffix(TEMPORARY)?.rsplit_once('.')?;
    file.ends_with(SUFFIX).then_some(Found::Temporary)
}

#[cfg(test)]
mod tests;
