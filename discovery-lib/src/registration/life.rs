//! The order in which a server starts and ends, so that no caller meets it before it is ready or after it is gone.
//!
//! bind (the caller) -> serve -> probe oneself -> register -> beat -> look oneself up -> ready. On a signal: no longer ready -> maintenance
//! and deregistration, side by side with the drain -> stop accepting -> finish what is in flight. A second signal ends it at once.

use std::{pin::pin, time::Duration};

use tokio::{
    join, select,
    time::{Instant, sleep_until, timeout},
};
use tracing::info;

use super::{Leaving, Registered, Signals, leaving::Stage};
use crate::{
    error::{Error, Kind},
    later::later,
};

/// A server that stopped accepting has so long to finish what is in flight.
const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// What the agent may take beyond the drain: one call's deadline.
const AGENT_GRACE: Duration = Duration::from_secs(1);

impl Registered {
    /// Serves until a signal comes, then ends in order; the whole life of a server. Returns what `serve` returned.
    ///
    /// `serve` makes the server. It is polled at once, whatever Consul does. On the first signal the instance goes on serving for `drain`
    /// so that callers learn that it leaves: at once it is in maintenance, at half time deregistered; then [`Leaving::drained`] tells the
    /// server to stop accepting. An agent that doesn't answer delays the end by at most a second. A server that ends by itself is
    /// deregistered.
    ///
    /// ```no_run
    /// use discovery::{Discovery, Leaving, Registration, signal};
    /// use tokio::{net::TcpListener, select, time::Duration};
    ///
    /// async fn serve(listener: TcpListener, leaving: Leaving) -> std::io::Result<()> {
    ///     loop {
    ///         select! {
    ///             accepted = listener.accept() => drop(accepted?), // Serve it here.
    ///             () = leaving.drained() => return Ok(()),
    ///         }
    ///     }
    /// }
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let discovery = Discovery::from_env()?;
    /// let listener = TcpListener::bind("0.0.0.0:0").await?;
    /// let registered = discovery.register(Registration::new("service1", listener.local_addr()?).tag("v1"));
    /// registered.serve_until(signal(), Duration::from_secs(2), |leaving| serve(listener, leaving)).await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Signals can't be listened for; a second signal cut it short; requests were still in flight 30 s after the drain.
    pub async fn serve_until<T>(
        self,
        mut signals: Signals,
        drain: Duration,
        serve: impl AsyncFnOnce(Leaving) -> T,
    ) -> Result<T, Error> {
        let (stage_tx, leaving) = Leaving::new(self.reports(), self.subject());
        let mut serving = pin!(serve(leaving));
        select! {
            ended = &mut serving => {
                self.leave().await;
                return Ok(ended);
            }
            signal = signals.next() => signal?,
        }
        info!(service = self.service(), id = %self.id(), ?drain, "leaving");
        stage_tx.send_replace(Stage::Draining);
        let now = Instant::now();
        let drained_at = later(now, drain);
        let leave = self.leave_until(later(now, drain / 2), drained_at + AGENT_GRACE);
        let finish = async {
            select! {
                ended = &mut serving => return Ok(ended),
                () = sleep_until(drained_at) => {}
            }
            stage_tx.send_replace(Stage::Drained);
            timeout(FINISH_WITHIN, serving).await.map_err(|_| unfinished())
        };
        select! {
            (finished, ()) = async { join!(finish, leave) } => finished,
            signal = signals.next() => signal.and_then(|()| Err(cut_short())),
        }
    }
}

fn unfinished() -> Error {
    let text =
        format!("requests were still in flight {FINISH_WITHIN:?} after it stopped accepting");
    Error::new(Kind::Ended, text)
}

fn cut_short() -> Error {
    Error::new(Kind::Ended, "a second signal ended it at once")
}
