//! The last good snapshot of each query on disk, for a program that starts while Consul is away.
//!
//! Three parts decide, and are pure: `writes` when to write, `document` whether a file can be used, `opening` what is published before the
//! first answer. `directory` has the files, `file` is that of one query, and `task` connects them with a watch.

mod directory;
mod document;
mod file;
mod opening;
mod task;
mod writes;

use std::{path::Path, sync::Arc};

use crate::{Error, Query, agent::AgentSettings};
use directory::Directory;
use document::{SavedQuery, Tenant};
pub(super) use file::SnapshotFile;
pub(super) use task::watch;

/// The snapshots of one program on disk. Cheap to clone; clones share the directory.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    directory: Arc<Directory>,
    tenant: Tenant,
}

impl Snapshots {
    /// Creates the directory if there is none, and removes old files from it. Blocks the thread.
    ///
    /// # Errors
    /// The directory can't be used: names it and the reason.
    pub(crate) fn open(path: &Path, agent: &AgentSettings) -> Result<Self, Error> {
        let tenant = Tenant::of(agent);
        Ok(Self { directory: Arc::new(Directory::open(path)?), tenant })
    }

    /// The file of a complete query. Reads nothing.
    pub(super) fn file(&self, query: &Query) -> SnapshotFile {
        SnapshotFile::new(self.directory.clone(), SavedQuery::new(query, &self.tenant))
    }
}
