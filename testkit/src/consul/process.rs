//! The child process of a Consul: signalled, reaped, never left behind.

use std::{
    io,
    path::Path,
    process::{Child, Command, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};

use super::guard::Guard;

/// A running child. Dropped: killed and reaped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Option<Guard>,
}

impl Process {
    /// Runs the command; should this process die, the child and `dir` go with it.
    pub(super) fn start(command: &mut Command, dir: &Path) -> io::Result<Self> {
        let mut process = Self { child: command.spawn()?, guard: None };
        process.guard = Some(Guard::over(process.child.id(), dir)?);
        Ok(process)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(super) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// As dropping it, and says how that went.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.end()
    }

    /// A second time does nothing.
    fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        match self.guard.take() {
            Some(guard) => guard.dismiss(),
            None => Ok(()),
        }
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a drop has nobody else to tell")]
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("consul could not be ended: {error}");
        }
    }
}
