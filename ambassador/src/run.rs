//! The life of an ambassador: serves until a signal, then drains.

use std::time::Duration;

use discovery::ShutdownSignal;
use tokio::{net::TcpListener, select, sync::oneshot};
use tracing::info;

use crate::{Ambassador, Error};

impl Ambassador {
    /// Serves until the first signal, then drains for at most `drain`. A second signal ends it at once. The routes of [`Ambassador::admin`] are
    /// served on `admin` all the time.
    ///
    /// # Errors
    /// The process can't listen for signals, a worker has ended by itself, or a second signal came.
    pub async fn serve_until(
        mut self,
        mut signals: ShutdownSignal,
        drain: Duration,
        admin: Option<TcpListener>,
    ) -> Result<(), Error> {
        let (ended_tx, ended_rx) = oneshot::channel::<()>();
        let server = self.admin();
        let admin = async {
            if let Some(listener) = admin {
                server.run(listener, async { _ = ended_rx.await }).await;
            }
        };
        let life = async {
            let ended = self.live(&mut signals).await;
            let ended = match ended {
                Ok(()) => self.leave(signals, drain).await,
                Err(error) => Err(error),
            };
            drop(ended_tx);
            ended
        };
        tokio::join!(life, admin).0
    }

    /// Serves until a signal.
    async fn live(&mut self, signals: &mut ShutdownSignal) -> Result<(), Error> {
        let known = self.known();
        let logs = async {
            known.await;
            info!("ready: the instances of every route are known");
            std::future::pending::<()>().await;
        };
        select! {
            signal = signals.next() => signal.map_err(|err| Error::system(err.to_string())),
            () = self.failed() => Err(Error::system("a worker has ended by itself")),
            () = logs => Ok(()),
        }
    }

    async fn leave(self, mut signals: ShutdownSignal, drain: Duration) -> Result<(), Error> {
        select! {
            () = self.drain(drain) => Ok(()),
            _ = signals.next() => Err(Error::system("a second signal ended it at once")),
        }
    }
}
