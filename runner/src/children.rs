//! Starts processes and reaps them.
//!
//! One table has all children of the wrapper: the program, and the probes that are commands. Nothing else here waits for a process, so that as
//! process 1 of a container, which gets all orphans, the wrapper can reap whatever ended without taking the result of a child from its owner.
//! Otherwise it waits for its own children only, and the orphans of the program go to the system's process 1.

use std::{
    collections::HashMap,
    io,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait, waitpid,
    },
};
use tokio::sync::watch;

/// The exit code of a shell for a program that was ended by a signal is this plus the number of the signal.
const SIGNALED: i32 = 128;

/// All children of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Children(Arc<Mutex<HashMap<Pid, watch::Sender<Status>>>>);

/// The status of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// Stopped by this signal.
    Stopped(i32),
    /// Ended, with the exit code that a shell would show.
    Ended(u8),
}

/// A child in a process group of its own. When dropped, it and its group are killed.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    children: Children,
    status_rx: watch::Receiver<Status>,
}

impl Children {
    /// Starts a command.
    ///
    /// # Errors
    /// It can't be executed.
    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        // Held until the child is in the table, so that it is not reaped before.
        let mut table = self.table();
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        let (status_tx, status_rx) = watch::channel(Status::Running);
        table.insert(pid, status_tx);
        Ok(Child { pid, children: self.clone(), status_rx })
    }

    /// Collects all changes of children. Call it after each SIGCHLD.
    pub(crate) fn collect(&self) {
        let mut table = self.table();
        if std::process::id() == 1 {
            while let Some((pid, status)) = changed(|| wait(OPTIONS)) {
                settle(&mut table, pid, status);
            }
        } else {
            let pids: Vec<Pid> = table.keys().copied().collect();
            for pid in pids {
                while let Some((pid, status)) = changed(|| waitpid(Some(pid), OPTIONS)) {
                    settle(&mut table, pid, status);
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Pid, watch::Sender<Status>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const OPTIONS: WaitOptions = WaitOptions::NOHANG.union(WaitOptions::UNTRACED);

/// The next change of a child, if there is one now.
fn changed(
    wait: impl Fn() -> rustix::io::Result<Option<(Pid, WaitStatus)>>,
) -> Option<(Pid, WaitStatus)> {
    loop {
        match wait() {
            Err(Errno::INTR) => {}
            // No such child: there is none left.
            outcome => return outcome.ok().flatten(),
        }
    }
}

/// A process that is not in the table is an orphan, and only has to be reaped.
fn settle(table: &mut HashMap<Pid, watch::Sender<Status>>, pid: Pid, status: WaitStatus) {
    let status = Status::of(status);
    let known = match status {
        Status::Ended(_) => table.remove(&pid),
        Status::Running | Status::Stopped(_) => table.get(&pid).cloned(),
    };
    if let Some(status_tx) = known {
        status_tx.send_replace(status);
    }
}

impl Status {
    fn of(status: WaitStatus) -> Self {
        if let Some(signal) = status.stopping_signal() {
            return Self::Stopped(signal);
        }
        let code = status
            .exit_status()
            .or_else(|| status.terminating_signal().map(|signal| SIGNALED + signal));
        Self::Ended(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }
}

impl Child {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the next change of its status. After the end there is none. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Status {
        match self.status_rx.changed().await {
            Ok(()) => *self.status_rx.borrow_and_update(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits for its end: its exit code. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> u8 {
        loop {
            if let Status::Ended(code) = self.changed().await {
                return code;
            }
        }
    }

    /// Sends it a signal, unless it has ended.
    pub(crate) fn send(&self, signal: Signal) {
        self.if_running(|pid| kill_process(pid, signal));
    }

    /// Sends its group a signal, unless it has ended.
    pub(crate) fn send_to_group(&self, signal: Signal) {
        self.if_running(|pid| kill_process_group(pid, signal));
    }

    /// The number of a process is not used again before it is reaped, and it is in the table until then.
    fn if_running(&self, send: impl Fn(Pid) -> rustix::io::Result<()>) {
        if self.children.table().contains_key(&self.pid)
            && let Err(err) = send(self.pid)
        {
            tracing::warn!(pid = %self.pid, error = %err, "signal not sent to the program");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.send_to_group(Signal::KILL);
    }
}
