//! The life of an ambassador: serves until a signal or a successor, then drains.

use std::{future::pending, path::PathBuf, time::Duration};

use discovery::ShutdownSignal;
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tracing::{error, info};

use crate::{Ambassador, Config, Error, Takeover};

/// What may change a running ambassador.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// The file of its configuration.
    pub reload: Option<Reload>,
    /// Where a successor takes over.
    pub takeover: Option<&'a Takeover>,
}

/// A file that is read again on SIGHUP.
#[derive(Debug)]
pub struct Reload {
    file: PathBuf,
    hangups: Signal,
}

impl Reload {
    /// From now on, SIGHUP does not end the process.
    ///
    /// # Errors
    /// The process can't listen for signals.
    pub fn of(file: PathBuf) -> Result<Self, Error> {
        let hangups = signal(SignalKind::hangup()).map_err(system)?;
        Ok(Self { file, hangups })
    }

    /// Applies the file as it is now, if it can be.
    fn apply(&self, ambassador: &Ambassador) {
        let file = self.file.display();
        match Config::read(&self.file).and_then(|config| ambassador.apply(&config)) {
            Ok(()) => info!(%file, "configuration applied"),
            Err(error) => error!(%file, %error, "configuration refused; the current one stays"),
        }
    }
}

/// Why an ambassador stops serving.
enum Ended {
    Signal,
    /// A successor serves its sockets.
    Succeeded,
}

impl Ambassador {
    /// Serves until the first signal, then drains for at most `drain`; or until a successor has taken over, then until its last connection has
    /// ended. A second signal ends it at once. The routes of [`Ambassador::admin`] are served on `admin`, until a successor does.
    ///
    /// # Errors
    /// The process can't listen for signals, a worker has ended by itself, or a second signal came.
    pub async fn serve_until(
        mut self,
        mut signals: ShutdownSignal,
        drain: Duration,
        admin: Option<TcpListener>,
        changes: Changes<'_>,
    ) -> Result<(), Error> {
        let (ended_tx, ended_rx) = oneshot::channel::<()>();
        let server = self.admin();
        let admin = async {
            if let Some(listener) = admin {
                server.run(listener, async { _ = ended_rx.await }).await;
            }
        };
        let life = async {
            match self.serve(&mut signals, changes).await? {
                Ended::Signal => {
                    let left = self.drain_or_stop(signals, drain).await;
                    drop(ended_tx);
                    left
                }
                Ended::Succeeded => {
                    drop(ended_tx);
                    self.retire_or_drain(signals, drain).await
                }
            }
        };
        tokio::join!(life, admin).0
    }

    async fn serve(
        &mut self,
        signals: &mut ShutdownSignal,
        changes: Changes<'_>,
    ) -> Result<Ended, Error> {
        let Changes { mut reload, takeover } = changes;
        let mut ready = std::pin::pin!(self.known());
        let mut is_ready = false;
        let successor = takeover.map(|takeover| self.successor(takeover));
        let mut successor = std::pin::pin!(or_never(successor));
        loop {
            select! {
                signal = signals.next() => return signal.map(|()| Ended::Signal).map_err(system),
                () = self.failed() => return Err(Error::system("a worker has ended by itself")),
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    info!("ready: the instances of every route are known");
                }
                _ = or_never(reload.as_mut().map(|it| it.hangups.recv())) => {
                    reload.iter().for_each(|it| it.apply(self));
                }
                taken = &mut successor => return taken.map(|()| Ended::Succeeded),
            }
        }
    }

    /// A successor accepts: waits for the connections, or for a signal.
    async fn retire_or_drain(
        mut self,
        mut signals: ShutdownSignal,
        drain: Duration,
    ) -> Result<(), Error> {
        select! {
            () = self.retire() => return Ok(()),
            signal = signals.next() => signal.map_err(system)?,
        }
        self.drain_or_stop(signals, drain).await
    }

    async fn drain_or_stop(
        self,
        mut signals: ShutdownSignal,
        drain: Duration,
    ) -> Result<(), Error> {
        select! {
            () = self.drain(drain) => Ok(()),
            _ = signals.next() => Err(Error::system("a second signal ended it at once")),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn system(err: impl ToString) -> Error {
    Error::system(err.to_string())
}

async fn or_never<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
