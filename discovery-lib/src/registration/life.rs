//! The order in which a server starts and ends, so that no caller meets it before it is ready or after it is gone.
//!
//! bind (the caller) -> serve -> accept -> probe oneself -> register -> beat -> look oneself up -> ready. On a signal: no longer ready -> maintenance
//! and deregistration, side by side with the drain -> stop accepting -> finish what is in flight. A second signal ends it at once.

use std::{future::pending, pin::pin, time::Duration};

use tokio::{
    join, select,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::info;

use super::{Lifecycle, Registered, ShutdownSignal, lifecycle::Stage, task::Report};
use crate::{
    error::{Error, Kind},
    later::later,
};

/// A server that stopped accepting has so long to finish what is in flight.
pub(crate) const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// A server that ends by itself at [`FINISH_WITHIN`], as [`serve`](crate::serve) does, is not cut short.
const FINISH_GRACE: Duration = Duration::from_secs(1);
/// What the agent may take beyond the drain: one call's deadline.
const AGENT_GRACE: Duration = Duration::from_secs(1);

impl Registered {
    /// Serves until a signal comes, then ends in order; the whole life of a server. Returns what `serve` returned.
    ///
    /// `serve` makes the server. It is polled at once, whatever Consul does, and calls [`Lifecycle::set_accepting`] when it is about to accept
    /// ([`serve::Server`](crate::serve::Server) does): nothing is registered before, because a bound port takes connections long before its
    /// program does. On the first signal the instance goes on serving for `drain`
    /// so that callers learn that it leaves: at once it is in maintenance, at half time deregistered; then [`Lifecycle::drained`] tells the
    /// server to stop accepting. An agent that doesn't answer delays the end by at most a second. A server that ends by itself is
    /// deregistered.
    ///
    /// ```no_run
    /// use discovery::{Discovery, Lifecycle, Registration, shutdown_signal};
    /// use tokio::{net::TcpListener, select, time::Duration};
    ///
    /// async fn serve(listener: TcpListener, lifecycle: Lifecycle) -> std::io::Result<()> {
    ///     lifecycle.set_accepting();
    ///     loop {
    ///         select! {
    ///             accepted = listener.accept() => drop(accepted?), // Serve it here.
    ///             () = lifecycle.drained() => return Ok(()),
    ///         }
    ///     }
    /// }
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let discovery = Discovery::from_env()?;
    /// let listener = TcpListener::bind("0.0.0.0:0").await?;
    /// let registered = discovery.register(Registration::new("service1", listener.local_addr()?).tag("v1"))?;
    /// registered.serve_until(shutdown_signal(), Duration::from_secs(2), |lifecycle| serve(listener, lifecycle)).await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Nobody could reach it as it listens, which is found out when the agent's name is resolved; signals can't be listened for; a second
    /// signal cut it short; requests were still in flight 10 s after the drain.
    pub async fn serve_until<T>(
        self,
        mut signals: ShutdownSignal,
        drain: Duration,
        serve: impl AsyncFnOnce(Lifecycle) -> T,
    ) -> Result<T, Error> {
        let lifecycle = self.lifecycle();
        let stage_tx = self.stage_tx.clone();
        let mut serving = pin!(serve(lifecycle.clone()));
        select! {
            ended = &mut serving => {
                self.leave().await;
                return Ok(ended);
            }
            signal = signals.next() => signal?,
            unfit = unfit(lifecycle.reports()) => return Err(unfit),
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
            timeout(FINISH_WITHIN + FINISH_GRACE, serving).await.map_err(|_| unfinished())
        };
        select! {
            (finished, ()) = async { join!(finish, leave) } => finished,
            signal = signals.next() => signal.and_then(|()| Err(cut_short())),
        }
    }
}

/// Ends with the reason why settings can't work, if that shows before the first registration.
async fn unfit(mut report_rx: watch::Receiver<Report>) -> Error {
    let is_unfit = |report: &Report| {
        !report.was_ready && report.refusal.as_deref().is_some_and(Error::is_setting)
    };
    let report = report_rx.wait_for(is_unfit).await.map(|report| report.clone());
    match report.ok().and_then(|report| report.refusal) {
        Some(refusal) => Error::clone(&refusal),
        None => pending().await,
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
