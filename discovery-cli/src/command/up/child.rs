//! One process of `up`: start, log, stop.

use std::{
    env, io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{ChildStdin, Command},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::{lifeline::CHILD, print::write_stderr};

/// Time from SIGTERM to SIGKILL: longer than a service needs to drain and to finish requests in flight.
const END_WITHIN: Duration = Duration::from_secs(15);
/// Time from a child's end to the end of its log.
const LOG_WITHIN: Duration = Duration::from_secs(1);
/// Longest line of a child's log, in bytes; a longer one is split.
const LINE_MAX: u64 = 64 * 1024;

/// A process to start: this program again, as one part of the chain.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its name on the terminal.
    pub(super) name: String,
    /// The path of this program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its environment, besides PATH and the like.
    pub(super) variables: Vec<(&'static str, String)>,
}

/// A running process. It is killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// Held, never written to: the child stops when it is closed.
    _lifeline: Option<ChildStdin>,
    log: AbortOnDropHandle<()>,
}

impl Child {
    /// Starts it in its own process group: Ctrl-C in a terminal reaches only `up`, which then stops its children in order.
    pub(super) fn start(part: &Part) -> io::Result<Self> {
        let mut command = Command::new(&part.program);
        command.arg(CHILD).args(&part.arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in env::vars_os().filter(|(name, _)| is_foreign(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.envs(part.variables.iter().map(|(name, value)| (name, value)));
        let mut process = command.spawn()?;
        let lifeline = process.stdin.take();
        let log = tokio::spawn(forward(part.name.clone(), process.stderr.take()));
        Ok(Self { process, _lifeline: lifeline, log: AbortOnDropHandle::new(log) })
    }

    /// None once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// The first line on its stdout; empty if it ends without.
    pub(super) async fn first_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.process.stdout {
            BufReader::new(stdout.take(LINE_MAX)).read_line(&mut line).await?;
        }
        Ok(line)
    }

    /// Waits until it has ended and its log is written. Call it again after a cancel, but not after its end.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait().await?;
        if timeout(LOG_WITHIN, &mut self.log).await.is_err() {
            debug!("the log of an ended child is still open");
        }
        Ok(status)
    }

    /// Sends SIGTERM, and SIGCONT if it is stopped, and waits for its end; kills it if it does not end.
    pub(super) async fn end(mut self) -> io::Result<()> {
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process(pid, Signal::TERM)?;
            kill_process(pid, Signal::CONT)?;
        }
        match timeout(END_WITHIN, self.ended()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.process.kill().await,
        }
    }
}

/// Copies the log of a child to our stderr, each line with its name.
async fn forward(name: String, log: Option<impl AsyncRead + Unpin>) {
    let Some(log) = log else { return };
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while matches!((&mut log).take(LINE_MAX).read_until(b'\n', &mut line).await, Ok(read) if read > 0)
    {
        write_stderr(&format!("{name} | {}", String::from_utf8_lossy(&line).trim_end()));
        line.clear();
    }
}

/// How a process ended, as text.
pub(super) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "shut down gracefully".into(),
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(9)) => "was killed".into(),
        (None, signal) => format!("was stopped by signal {}", signal.unwrap_or_default()),
    }
}

/// Whether a variable of our environment is a setting of the user's own programs, not of the chain.
fn is_foreign(name: &str) -> bool {
    name.starts_with("CONSUL_") || SETTINGS.contains(&name)
}

/// The settings of the two services.
const SETTINGS: [&str; 8] =
    ["LISTEN", "ADVERTISE", "SERVICE_NAME", "SERVICE_ID", "UPSTREAM", "RESOLVE", "DRAIN", "ADMIN"];
