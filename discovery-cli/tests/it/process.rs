//! Runs the command, to its end or while reading its output. Its environment is empty except for the variables of a test.

use std::{
    io,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    time::timeout,
};

/// The longest time that a test waits.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(90);

/// The command with these arguments, and only PATH.
pub(crate) fn discovery(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_discovery"));
    command.args(arguments).env_clear().env("PATH", env!("PATH"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn done(command: &mut Command) -> Output {
    timeout(WAIT_MAX, command.output()).await.expect("it does not end").unwrap()
}

pub(crate) fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A running command. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// If it is a pipe, it stays open.
    stdin: Option<ChildStdin>,
    output: Arc<Mutex<String>>,
    changed: watch::Receiver<()>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let output = Arc::new(Mutex::new(String::new()));
        let (changed_tx, changed) = watch::channel(());
        let changed_tx = Arc::new(changed_tx);
        tokio::spawn(capture(child.stdout.take(), output.clone(), changed_tx.clone()));
        tokio::spawn(capture(child.stderr.take(), output.clone(), changed_tx));
        Self { child, stdin, output, changed }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it has ended")
    }

    /// All output so far, of stdout and stderr.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until `find` returns something for the output so far.
    pub(crate) async fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let waiting = timeout(WAIT_MAX, async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = find(&self.output()) {
                    return found;
                }
                if changed.changed().await.is_err() {
                    return find(&self.output())
                        .unwrap_or_else(|| panic!("it ended with\n{}", self.output()));
                }
            }
        });
        match waiting.await {
            Ok(found) => found,
            Err(_) => panic!("not printed in {WAIT_MAX:?}:\n{}", self.output()),
        }
    }

    /// Waits until the output contains this text.
    pub(crate) async fn wait_for_text(&mut self, text: &str) {
        self.wait_for(|output| output.contains(text).then_some(())).await;
    }

    /// Writes to its stdin.
    pub(crate) async fn write_stdin(&mut self, input: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(input).await.unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal).unwrap();
    }

    /// Waits for its end: its exit code (none after a signal), and all its output.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let ended = timeout(WAIT_MAX, self.child.wait()).await;
        let code =
            ended.unwrap_or_else(|_| panic!("it does not end:\n{}", self.output())).unwrap().code();
        // Both outputs have ended when no sender is left.
        while self.changed.changed().await.is_ok() {}
        (code, self.output())
    }
}

async fn capture(
    pipe: Option<impl AsyncRead + Unpin>,
    output: Arc<Mutex<String>>,
    changed: Arc<watch::Sender<()>>,
) {
    let mut lines = BufReader::new(pipe.unwrap()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        output.lock().unwrap().push_str(&(line + "\n"));
        changed.send_replace(());
    }
}

pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process has a number");
    Ok(kill_process(pid, signal)?)
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state is after the name, which is in brackets and may have any character.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these processes exists.
pub(crate) async fn wait_until_ended(pids: &[u32]) {
    none_left(|| pids.iter().copied().filter(|pid| is_alive(*pid)).collect()).await;
}

/// Waits until no process has this in its environment: neither the one that was started with it, nor its children.
pub(crate) async fn wait_until_none_with(mark: &str) {
    let left = || {
        let all = std::fs::read_dir("/proc").unwrap();
        let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_marked = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        numbers.filter(|pid| is_marked(pid) && is_alive(*pid)).collect()
    };
    none_left(left).await;
}

async fn none_left(left: impl Fn() -> Vec<u32>) {
    let all = async {
        while !left().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(WAIT_MAX, all).await.is_ok(), "still there: {:?}", left());
}
