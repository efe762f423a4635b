//! The file of one query: read and written on threads that may block.

use std::{io, sync::Arc, time::SystemTime};

use tokio::{task::spawn_blocking, time::Instant};
use tracing::{debug, warn};

use super::{
    directory::Directory,
    document::{Recalled, SavedQuery, decode, encode},
};
use crate::Snapshot;

/// The file of one query. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::watch) struct SnapshotFile {
    directory: Arc<Directory>,
    query: Arc<SavedQuery>,
    name: Arc<str>,
}

impl SnapshotFile {
    pub(super) fn new(directory: Arc<Directory>, query: SavedQuery) -> Self {
        let name = query.file_name().into();
        Self { directory, query: Arc::new(query), name }
    }

    pub(super) fn service(&self) -> &Arc<str> {
        self.query.service()
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.directory.path_of(&self.name)
    }

    /// The snapshot in it; None if there is none, or one that can't be used, which is logged.
    pub(super) async fn load(&self) -> Option<Snapshot> {
        match self.on_disk(Self::read).await.map_err(|err| err.to_string()).flatten() {
            Ok(Some(snapshot)) => Some(snapshot),
            Ok(None) => {
                debug!(service = %self.service(), "there is no snapshot on disk");
                None
            }
            Err(why) => {
                let file = self.path();
                warn!(service = %self.service(), file = %file.display(), error = why, "snapshot on disk is not used");
                None
            }
        }
    }

    /// Writes a snapshot. One without instances is no help at the next start, so there is no file then.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) async fn save(&self, snapshot: Arc<Snapshot>) -> io::Result<()> {
        self.on_disk(move |file| file.write(&snapshot)).await.flatten()
    }

    /// Runs this on a thread that may block. Few at once, so that a disk that hangs does not take all the threads, which other parts of the
    /// program need to look up names. One that has begun is counted until it ends, also when this is dropped.
    async fn on_disk<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> io::Result<T> {
        let permit = self.directory.permit().await.map_err(io::Error::other)?;
        let file = self.clone();
        let ran = spawn_blocking(move || {
            let _permit = permit;
            run(&file)
        });
        ran.await.map_err(io::Error::other)
    }

    fn read(&self) -> Result<Option<Snapshot>, String> {
        let read = self.directory.read(&self.name).map_err(|err| err.to_string())?;
        let Some(bytes) = read else { return Ok(None) };
        // One moment on both clocks.
        let (time, now) = (SystemTime::now(), Instant::now());
        let Recalled { instances, age } = decode(&bytes, &self.query, time)?;
        Ok(Some(Snapshot::from_disk(instances, age, now)))
    }

    fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        if snapshot.instances.is_empty() {
            return self.directory.remove(&self.name);
        }
        let (time, now) = (SystemTime::now(), Instant::now());
        let as_of = time.checked_sub(snapshot.age(now)).unwrap_or(SystemTime::UNIX_EPOCH);
        let bytes = encode(&self.query, as_of, &snapshot.instances).map_err(io::Error::other)?;
        self.directory.write(&self.name, &bytes)
    }
}

#[cfg(test)]
mod tests;
