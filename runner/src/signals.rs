//! The signals that the wrapper receives.
//!
//! Passed on are those that another process or a terminal sends on purpose. Not passed on are those that a process causes itself (SIGPIPE,
//! SIGSEGV and so on), those of job control for the wrapper's own use of its terminal (SIGTTIN, SIGTTOU), and real-time signals. A signal that was
//! ignored at the start stays ignored, as under `nohup`.

use std::{future::poll_fn, io, task::Poll};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

const RECEIVED: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::TSTP,
    Signal::WINCH,
    #[cfg(target_os = "linux")]
    Signal::POWER,
    #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd"))]
    Signal::INFO,
];

/// A stream of signals.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// All that are passed on, except those ignored now.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored();
        let listened = RECEIVED.iter().filter(|it| !ignored.contains(**it));
        listened.map(|it| Ok((*it, listen(*it)?))).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The changes of children.
pub(crate) fn of_children() -> io::Result<unix::Signal> {
    listen(Signal::CHILD)
}

fn listen(it: Signal) -> io::Result<unix::Signal> {
    signal(SignalKind::from_raw(it.as_raw()))
}

/// A set of signals, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ignored(u64);

impl Ignored {
    fn contains(self, signal: Signal) -> bool {
        self.0 >> (signal.as_raw() - 1) & 1 == 1
    }

    /// From the text of `/proc/self/status`.
    fn of(status: &str) -> Self {
        let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default())
    }
}

/// The signals that this process ignores. None where the system does not tell.
fn ignored() -> Ignored {
    Ignored::of(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        let ignored = Ignored::of("Name:\tsh\nSigIgn:\t0000000000001006\nSigCgt:\t0\n");
        for (signal, is_ignored) in [
            (Signal::HUP, false),
            (Signal::INT, true),
            (Signal::QUIT, true),
            (Signal::PIPE, true),
            (Signal::TERM, false),
        ] {
            assert_eq!(ignored.contains(signal), is_ignored, "{signal:?}");
        }
        assert_eq!(Ignored::of("no such line"), Ignored(0));
    }
}
