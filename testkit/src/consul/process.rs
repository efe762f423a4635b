//! The child process of a Consul: signalled, reaped, never left behind.

use std::{
    io,
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::guard::Guard;

/// A process stops in microseconds; so often and so many times we look.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOKS_MAX: usize = 5_000;

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

    /// SIGSTOP, and none of its threads runs any more when this returns.
    pub(super) fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let id = WaitId::Pid(Pid::from_child(&self.child));
        for _ in 0..LOOKS_MAX {
            if waitid(id.clone(), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?.is_some() {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "consul did not stop on SIGSTOP"))
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
