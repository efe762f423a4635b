//! What ends a program: SIGTERM and SIGINT, or a test.

use std::{future::pending, io};

use tokio::{
    select,
    signal::unix::{Signal, SignalKind},
    sync::mpsc,
};

use crate::error::{Error, Kind};

/// The first begins an orderly end, the second ends it at once; more of them change nothing.
const SIGNALS_MAX: usize = 2;

/// The signals that end a program, as they come.
#[derive(Debug)]
pub struct ShutdownSignal(Source);

#[derive(Debug)]
enum Source {
    Process(io::Result<(Signal, Signal)>),
    Hand(mpsc::Receiver<()>),
}

/// SIGTERM and SIGINT (Ctrl-C), from now on; by themselves they end this process no more, also after what this returns is dropped.
///
/// # Panics
/// Outside of a tokio runtime with IO.
pub fn shutdown_signal() -> ShutdownSignal {
    let listen = |kind| tokio::signal::unix::signal(kind);
    let both = listen(SignalKind::terminate())
        .and_then(|term| Ok((term, listen(SignalKind::interrupt())?)));
    ShutdownSignal(Source::Process(both))
}

/// Sends what [`ShutdownSignal::manual`] receives.
#[derive(Debug, Clone)]
pub struct Trigger(mpsc::Sender<()>);

impl Trigger {
    /// One more signal.
    pub fn fire(&self) {
        // Full: both that count are under way. Closed: it has ended already.
        self.0.try_send(()).ok();
    }
}

impl ShutdownSignal {
    /// Signals sent by the program itself. Without its trigger, none ever comes.
    pub fn manual() -> (Trigger, Self) {
        let (tx, rx) = mpsc::channel(SIGNALS_MAX);
        (Trigger(tx), Self(Source::Hand(rx)))
    }

    /// Waits for the next one. Cancel-safe.
    ///
    /// # Errors
    /// When the system doesn't let this process listen for signals.
    pub async fn next(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Source::Process(Ok((term, int))) => {
                // Neither of them ends while it is held.
                select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            }
            Source::Process(Err(err)) => {
                let text = format!("can't listen for SIGTERM and SIGINT: {err}");
                return Err(Error::new(Kind::Setting, text));
            }
            Source::Hand(rx) => {
                if rx.recv().await.is_none() {
                    pending::<()>().await;
                }
            }
        }
        Ok(())
    }
}
