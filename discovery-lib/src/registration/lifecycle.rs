//! The handle that a server has on its registration and on its own shutdown.

use std::sync::Arc;

use consul_wire::check::CheckStatus;
use tokio::sync::watch;

use super::{Details, RegistrationState, limits::validate_details, subject::Subject, task::Report};
use crate::{
    ServiceId,
    error::{Error, Kind},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    Draining,
    Drained,
}

/// A view of a registration and of its shutdown, for the program that serves. Cheap to clone: one per connection or task.
///
/// [`Registered::serve_until`](crate::Registered::serve_until) passes one to the server;
/// [`Registered::lifecycle`](crate::Registered::lifecycle) returns one before that. A clone does not keep the instance registered.
///
/// A server calls [`set_accepting`](Self::set_accepting) once. After [`shutdown`](Self::shutdown) it continues to serve, with
/// `Connection: close` on every answer and 503 at `/ready`. After [`drained`](Self::drained) it stops accepting, finishes the requests in
/// flight, and ends.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use discovery::{Discovery, Registration, shutdown_signal};
/// use tokio::{net::TcpListener, time::Duration};
///
/// let discovery = Discovery::from_env()?;
/// let listener = TcpListener::bind("0.0.0.0:0").await?;
/// let registered = discovery.register(Registration::new("web", listener.local_addr()?))?;
/// let lifecycle = registered.lifecycle();
/// tokio::spawn(async move {
///     match lifecycle.ready().await {
///         Ok(()) => println!("{} is in the catalog", lifecycle.id()),
///         Err(err) => eprintln!("not registered: {err}"),
///     }
/// });
/// registered
///     .serve_until(shutdown_signal(), Duration::from_secs(2), async |lifecycle| {
///         lifecycle.set_accepting();
///         lifecycle.drained().await; // Serve here until then.
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Lifecycle {
    stage_rx: watch::Receiver<Stage>,
    report_rx: watch::Receiver<Report>,
    subject: Arc<Subject>,
}

impl Lifecycle {
    pub(super) fn new(
        report_rx: watch::Receiver<Report>,
        subject: Arc<Subject>,
    ) -> (watch::Sender<Stage>, Self) {
        let (stage_tx, stage_rx) = watch::channel(Stage::Serving);
        (stage_tx, Self { stage_rx, report_rx, subject })
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        &self.subject.registration.name
    }

    /// The id under which the instance is registered.
    pub fn id(&self) -> &ServiceId {
        &self.subject.id
    }

    /// The node of the agent that has the registration; none before the instance was first found in the catalog.
    pub fn node(&self) -> Option<&str> {
        self.subject.node.get().map(String::as_str)
    }

    /// Marks the server as accepting connections: nothing is registered before. Call it just before the first accept;
    /// [`serve::Server`](crate::serve) does. Later calls have no effect.
    pub fn set_accepting(&self) {
        self.subject.gate.open();
    }

    /// Reports that the instance is healthy, as it is without any report. The note becomes the output of its check.
    ///
    /// A report is sent to the agent at once, or a second after the last heartbeat, and again with each heartbeat until the next report. It is
    /// for [`Check::Ttl`](super::Check::Ttl): without such a check it has no effect.
    pub fn pass(&self, note: &str) {
        self.subject.health.report(CheckStatus::Passing, note);
    }

    /// Reports that the instance can be used, but has a problem: it is picked only if no instance is passing. Sent as by [`Self::pass`].
    pub fn warn(&self, note: &str) {
        self.subject.health.report(CheckStatus::Warning, note);
    }

    /// Reports that the instance can't be used. The agent deregisters it after a minute in this state
    /// ([`Registration::deregister_critical_after`](crate::Registration::deregister_critical_after)); the next [`Self::pass`] or [`Self::warn`]
    /// registers it again. Before the registration, nothing is registered until then. Sent as by [`Self::pass`].
    pub fn fail(&self, note: &str) {
        self.subject.health.report(CheckStatus::Critical, note);
    }

    /// Changes tags, meta or weights. They are published at once, or a second after the last registration, and kept published. The status of the
    /// instance stays as it is, so callers use it throughout. Changes in quick succession are published together.
    ///
    /// After the registration has ended it has no effect. `change` must not call `update` itself, which would wait for itself.
    ///
    /// ```no_run
    /// # fn run(lifecycle: discovery::Lifecycle) -> Result<(), discovery::Error> {
    /// lifecycle.update(|details| {
    ///     details.tags.retain(|tag| tag != "replica");
    ///     details.tags.push("primary".to_owned());
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A new value is out of bounds, as at [`Discovery::register`](crate::Discovery::register). Then nothing has changed.
    pub fn update(&self, change: impl FnOnce(&mut Details)) -> Result<(), Error> {
        self.subject.details.update(change, |new| validate_details(self.service(), new))
    }

    /// The current state of the registration.
    pub fn state(&self) -> RegistrationState {
        self.report_rx.borrow().state
    }

    /// The reason for [`RegistrationState::Refused`]; none in any other state.
    pub fn refusal(&self) -> Option<Error> {
        self.report_rx.borrow().refusal.as_deref().cloned()
    }

    /// Whether the instance can be found in the catalog and is not shutting down. `/ready` reports it.
    ///
    /// An agent that can't be reached or lost its data does not change it, since nothing is wrong with the instance.
    pub fn is_ready(&self) -> bool {
        !self.is_shutting_down() && self.report_rx.borrow().is_ready()
    }

    /// Waits until the instance is found in the catalog. Cancel-safe.
    ///
    /// # Errors
    /// Another run registered under the same id; the registration ended; or it is refused, by the agent (400 or 403) or because the address
    /// can't be reached by others. A refused registration is retried every 30 s or so, so `ready` may be called again.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut report_rx = self.report_rx.clone();
        let ended = |text| Err(Error::new(Kind::Ended, text));
        match report_rx.wait_for(Report::is_settled).await.map(|report| report.clone()) {
            Ok(report) if report.is_ready() => Ok(()),
            Ok(Report { refusal: Some(refusal), .. }) => Err(Error::clone(&refusal)),
            Ok(report) if report.state == RegistrationState::Replaced => {
                ended(format!("another run registered under the id {}", self.id()))
            }
            Ok(_) | Err(_) => ended(format!("{} is no longer kept registered", self.id())),
        }
    }

    /// Waits for the next change of [`state`](Self::state) or [`refusal`](Self::refusal) and returns the state. Returns none after the last
    /// change ([`RegistrationState::is_final`]). Each clone sees each change, or the latest of several. Cancel-safe.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        if self.state().is_final() && !self.report_rx.has_changed().ok()? {
            return None;
        }
        self.report_rx.changed().await.ok()?;
        Some(self.report_rx.borrow_and_update().state)
    }

    /// Whether the shutdown has begun.
    pub fn is_shutting_down(&self) -> bool {
        *self.stage_rx.borrow() >= Stage::Draining
    }

    /// Waits until the shutdown begins. Returns also when the [`Registered`](crate::Registered) is dropped. Cancel-safe.
    pub async fn shutdown(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until the drain time has passed: the server stops accepting now. Returns also when the
    /// [`Registered`](crate::Registered) is dropped. Cancel-safe.
    pub async fn drained(&self) {
        self.reached(Stage::Drained).await;
    }

    pub(super) fn reports(&self) -> watch::Receiver<Report> {
        self.report_rx.clone()
    }

    async fn reached(&self, stage: Stage) {
        let mut stage_rx = self.stage_rx.clone();
        // A dropped sender means that the registration has ended.
        stage_rx.wait_for(|now| *now >= stage).await.ok();
    }
}
