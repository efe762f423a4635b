//! The order in which a server starts and shuts down, so that no caller connects before it is ready or after it has ended.
//!
//! bind (the program) -> serve -> accept -> probe -> register -> heartbeat -> look -> ready. On a signal: no longer ready -> maintenance and
//! deregistration, concurrently with the drain -> stop accepting -> finish the requests in flight. A second signal ends it at once.

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

/// The time for requests in flight after a server stopped accepting.
pub(crate) const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// Extra time, so that a server with the same limit, as [`serve`](crate::serve), ends first.
const FINISH_GRACE: Duration = Duration::from_secs(1);
/// The time for the agent beyond the drain: the deadline of one call.
const AGENT_GRACE: Duration = Duration::from_secs(1);

impl Registered {
    /// Serves until a signal is received, then shuts down. Returns the result of `serve`.
    ///
    /// `serve` makes the server. It is polled at once, independently of Consul, and calls [`Lifecycle::set_accepting`] just before it accepts
    /// ([`serve::Server`](crate::serve::Server) does): nothing is registered before, because the kernel accepts connections to a bound port
    /// before its program does. On the first signal the instance continues to serve for `drain`, so that callers stop using it: it is put into
    /// maintenance at once and deregistered at half of that time; then [`Lifecycle::drained`] returns and the server stops accepting. An agent
    /// that doesn't answer delays the end by at most 1 s. If the server ends by itself, also during the drain, the instance is deregistered at once.
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
    /// No caller could reach the listener, which may be known only after the agent's name is resolved; the process can't listen for signals; a
    /// second signal ended it; requests were still in flight 10 s after the drain.
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
        info!(service = %self.service(), instance = %self.id(), ?drain, "shutting down");
        stage_tx.send_replace(Stage::Draining);
        let now = Instant::now();
        let drained_at = later(now, drain);
        let leave_sooner = self.leave_sooner();
        let leave = self.leave_until(later(now, drain / 2), drained_at + AGENT_GRACE);
        let finish = async {
            select! {
                ended = &mut serving => {
                    // The rest of the drain has no use.
                    leave_sooner();
                    return Ok(ended);
                }
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

/// Returns the reason for invalid settings, if they are found before the first registration.
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
