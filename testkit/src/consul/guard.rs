//! Ends a child process and its directory when the test process dies without a chance to do so itself (SIGKILL, abort).
//!
//! Why a process of its own: `PR_SET_PDEATHSIG` needs unsafe code before exec, and `setpriv --pdeathsig` is both Linux only and about the
//! *thread* that started the child, which with test runners is gone long before the process is.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Reads a word from its standard input. If that ends without one, its owner is dead: the child and the directory go.
/// Signals sent to the whole process group (Ctrl-C) leave it be, as it must outlive its owner.
const SCRIPT: &str = r#"trap "" INT TERM HUP QUIT; read -r _ || { kill -KILL "$1"; rm -rf "$2"; }"#;

/// Watches over one child process.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn over(pid: u32, dir: &Path) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(pid.to_string())
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(shell))
    }

    /// To be called once the child is reaped: its pid may be somebody else's from now on.
    pub(super) fn dismiss(mut self) -> io::Result<()> {
        if let Some(mut stdin) = self.0.stdin.take() {
            stdin.write_all(b"dismissed\n")?;
        }
        self.0.wait().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").spawn().unwrap()
    }

    #[test]
    fn an_owner_that_dies_takes_child_and_directory_along() {
        let (mut child, dir) = (sleeper(), tempfile::tempdir().unwrap());
        let mut guard = Guard::over(child.id(), dir.path()).unwrap();
        // What the system does with the pipe of a process that dies.
        drop(guard.0.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        guard.0.wait().unwrap();
        assert!(!dir.path().exists());
    }

    #[test]
    fn a_dismissed_guard_leaves_all_as_it_is() {
        let (mut child, dir) = (sleeper(), tempfile::tempdir().unwrap());
        Guard::over(child.id(), dir.path()).unwrap().dismiss().unwrap();
        assert!(child.try_wait().unwrap().is_none() && dir.path().exists());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
