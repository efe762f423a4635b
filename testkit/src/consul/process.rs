//! The child process of a Consul agent: it receives signals, is reaped, and is never left running.

use std::{
    io,
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::guard::Guard;

/// A process stops in microseconds. Its state is polled at this interval, this number of times.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOKS_MAX: usize = 5_000;

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Option<Guard>,
}

impl Process {
    /// Starts the command. If this process dies, the child is killed and `dir` is removed.
    pub(super) fn start(command: &mut Command, dir: &Path) -> io::Result<Self> {
        let mut process = Self { child: command.spawn()?, guard: None };
        process.guard = Some(Guard::over(process.child.id(), dir)?);
        Ok(process)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Sends SIGSTOP, and returns once all its threads are stopped.
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

    /// Like dropping it, and returns the result.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.end()
    }

    /// A second call does nothing.
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
    #[expect(clippy::print_stderr, reason = "a drop can't return an error")]
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("consul could not be ended: {error}");
        }
    }
}
