//! A small file system of its own, so that a test can fill it.

use std::{io, path::Path, process::Command};

use tempfile::TempDir;

use crate::consul::print_note;

/// A file system in memory of 16 KiB, for this user alone. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one. None if this user must not mount file systems, which is printed.
    ///
    /// # Panics
    ///
    /// There is no temporary directory.
    pub fn mount_or_skip() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs"]).arg(directory.path());
        if run(&mut mount).is_ok() {
            return Some(Self(directory));
        }
        print_note("skipped: this user can't mount a small file system");
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A file may be open still; the file system is gone from the tree at once.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
            print_note(&format!("{} stays mounted: {error}", self.path().display()));
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let done = command.output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()))
}
