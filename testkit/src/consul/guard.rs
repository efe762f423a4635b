//! Kills a child process and removes its directory if the test process dies without cleanup (SIGKILL, abort).
//!
//! It is a separate process because `PR_SET_PDEATHSIG` needs unsafe code before exec, and `setpriv --pdeathsig` is Linux only and bound to the
//! *thread* that started the child, which in a test runner ends long before the process.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Reads a word from standard input. If that ends without one, the owner is dead: the child is killed and the directory removed. It ignores the
/// signals of the process group (Ctrl-C), since it must outlive its owner.
const SCRIPT: &str = r#"trap "" INT TERM HUP QUIT; read -r _ || { kill -KILL "$1"; rm -rf "$2"; }"#;

/// Guards one child process.
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

    /// Call it once the child is reaped: its pid may be reused from now on.
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
    fn the_death_of_the_owner_kills_the_child_and_removes_the_directory() {
        let (mut child, dir) = (sleeper(), tempfile::tempdir().unwrap());
        let mut guard = Guard::over(child.id(), dir.path()).unwrap();
        // The kernel closes the pipe of a process that dies.
        drop(guard.0.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        guard.0.wait().unwrap();
        assert!(!dir.path().exists());
    }

    #[test]
    fn a_dismissed_guard_does_nothing() {
        let (mut child, dir) = (sleeper(), tempfile::tempdir().unwrap());
        Guard::over(child.id(), dir.path()).unwrap().dismiss().unwrap();
        assert!(child.try_wait().unwrap().is_none() && dir.path().exists());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
