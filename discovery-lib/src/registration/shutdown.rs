//! The signals that shut down a program: SIGTERM and SIGINT, or a trigger in the program itself.

use std::{future::pending, io};

use tokio::{
    select,
    signal::unix::{Signal, SignalKind},
    sync::mpsc,
};

use crate::error::{Error, Kind};

/// The first signal begins the shutdown, the second ends it at once; more have no effect.
const SIGNALS_MAX: usize = 2;

/// The signals that shut down a program.
#[derive(Debug)]
pub struct ShutdownSignal(Source);

#[derive(Debug)]
enum Source {
    Process(io::Result<(Signal, Signal)>),
    Hand(mpsc::Receiver<()>),
}

/// Listens for SIGTERM and SIGINT (Ctrl-C). Their default termination of the process is disabled, also after the returned value is dropped.
///
/// # Panics
/// Outside of a tokio runtime with IO.
pub fn shutdown_signal() -> ShutdownSignal {
    let listen = |kind| tokio::signal::unix::signal(kind);
    let both = listen(SignalKind::terminate())
        .and_then(|term| Ok((term, listen(SignalKind::interrupt())?)));
    ShutdownSignal(Source::Process(both))
}

/// Sends signals to the [`ShutdownSignal`] with which it was made.
#[derive(Debug, Clone)]
pub struct Trigger(mpsc::Sender<()>);

impl Trigger {
    /// Sends a signal.
    pub fn fire(&self) {
        // Full: both signals that matter are queued. Closed: the shutdown has ended.
        self.0.try_send(()).ok();
    }
}

impl ShutdownSignal {
    /// Signals that the program itself sends with the trigger. None is received after the trigger is dropped.
    pub fn manual() -> (Trigger, Self) {
        let (tx, rx) = mpsc::channel(SIGNALS_MAX);
        (Trigger(tx), Self(Source::Hand(rx)))
    }

    /// Waits for the next signal. Cancel-safe.
    ///
    /// # Errors
    /// The system does not let this process listen for signals.
    pub async fn next(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Source::Process(Ok((term, int))) => {
                // Neither stream ends while it is held.
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
