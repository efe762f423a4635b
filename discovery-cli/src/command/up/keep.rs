//! Keeps the processes of `up` running: one that fails is restarted with backoff; one that shut down gracefully is not restarted.

use std::{io, process::ExitStatus, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::child::{Child, Part};

/// Pause before the first restart: long enough to be seen on the terminal.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause, for one that fails repeatedly.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// After running for this time, the pause is reset.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// An event of a process.
#[derive(Debug)]
pub(super) enum ProcessEvent {
    /// It runs.
    Started { name: String, pid: Option<u32> },
    /// It ended without a stop by `up`; it is restarted after the pause, if any.
    Ended { name: String, status: ExitStatus, restart_in: Option<Duration> },
    /// It could not be started, and is not retried.
    Lost { name: String, why: io::Error },
}

/// Processes that are stopped together.
#[derive(Debug, Default)]
pub(super) struct Group {
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Group {
    /// Starts a part, and keeps it running.
    pub(super) fn start(
        &mut self,
        part: Part,
        events: mpsc::Sender<ProcessEvent>,
    ) -> io::Result<()> {
        let first = Child::start(&part)?;
        self.keep(part, first, events);
        Ok(())
    }

    /// Keeps a part running, with this first process.
    pub(super) fn keep(&mut self, part: Part, first: Child, events: mpsc::Sender<ProcessEvent>) {
        let stop = self.stop.clone();
        self.running.spawn(async move {
            if let Err(err) = keep(&part, first, &events, &stop).await {
                send(&events, ProcessEvent::Lost { name: part.name, why: err }).await;
            }
        });
    }

    /// Stops all of them at once, and waits for their end.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

async fn keep(
    part: &Part,
    first: Child,
    events: &mpsc::Sender<ProcessEvent>,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut child = first;
    let mut pause = PAUSE_MIN;
    loop {
        let started_at = Instant::now();
        send(events, ProcessEvent::Started { name: part.name.clone(), pid: child.pid() }).await;
        let status = tokio::select! {
            status = child.ended() => status?,
            () = stop.cancelled() => return child.end().await,
        };
        if started_at.elapsed() >= STABLE_AFTER {
            pause = PAUSE_MIN;
        }
        let restart_in = (!status.success()).then_some(pause);
        send(events, ProcessEvent::Ended { name: part.name.clone(), status, restart_in }).await;
        if restart_in.is_none() {
            return Ok(());
        }
        tokio::select! {
            () = sleep(pause) => child = Child::start(part)?,
            () = stop.cancelled() => return Ok(()),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// If the receiver is closed, `up` is ending, and its children with it.
async fn send(events: &mpsc::Sender<ProcessEvent>, event: ProcessEvent) {
    if let Err(unsent) = events.send(event).await {
        tracing::debug!(event = ?unsent.0, "event not sent: the receiver is closed");
    }
}
