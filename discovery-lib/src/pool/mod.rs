//! The members of a service, ready to pick from.
//!
//! The members and their ranks are published together in one `ArcSwap`: a pick reads one consistent state, takes no lock, does not allocate and
//! does not wait. One task per pool (`feed`) derives the states from full snapshots (`update`).

mod changes;
mod explain;
mod feed;
mod filter;
mod options;
mod pick;
mod pools;
mod report;
mod state;
mod update;
#[cfg(feature = "tower")]
mod usable;

use std::{net::SocketAddr, sync::Arc};

use futures_core::Stream;
use tokio::{sync::watch, time::Instant};

use crate::{
    Error, Instance, Origin, PoolOptions, Snapshot, Watch, Watched,
    balance::RandomDraws,
    error::Kind,
    lifetime::{Background, Hold, LINGER},
    member::Call,
    metrics::Counts,
    names::Names,
};
pub use explain::{Explained, ExplainedMember, Explanation};
use feed::{Feed, Source};
pub use options::PickOptions;
pub use pick::{InFlight, Pick, PickError};
pub(crate) use pools::{Pools, PoolsOptions};
pub use report::Report;
use state::PoolState;
#[cfg(feature = "tower")]
pub(crate) use usable::{Usable, UsableChanges};

/// The members of a service, ready to pick from. Cheap to clone; clones share the members and their statistics.
///
/// The task that feeds it ends with the last clone, even while picks exist. A pool of [`Discovery::pool`](crate::Discovery::pool) is fed for
/// another 60 s, so that the next one starts with known members. When the runtime of its task ends first, the task is started again on the
/// runtime where the pool is used next, and the pool starts without instances.
#[derive(Debug, Clone)]
pub struct Pool {
    state: Arc<PoolState>,
    /// Keeps the feeding task alive; none for a fixed list.
    feed: Option<Arc<Feed>>,
    /// Keeps a shared task running.
    _hold: Option<Hold>,
    /// The source that its watch queries, for errors; None without a watch.
    source_name: Option<Arc<str>>,
}

impl Pool {
    /// A pool of instances that never change, for tests and for programs without a registry.
    pub fn fixed(
        service: impl Into<Arc<str>>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        Self::of_addresses(service.into(), addresses, PoolOptions::default())
    }

    /// As [`Pool::fixed`], with options.
    ///
    /// # Errors
    ///
    /// An option is out of bounds: the error names the bound ([`Error::is_setting`]).
    pub fn fixed_with(
        service: impl Into<Arc<str>>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        options: PoolOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        Ok(Self::of_addresses(service.into(), addresses, options))
    }

    fn of_addresses(
        service: Arc<str>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        options: PoolOptions,
    ) -> Self {
        let instance = |address: SocketAddr| {
            let host = crate::Host::Ip(address.ip());
            Arc::new(Instance::at(Arc::clone(&service), host, address.port()))
        };
        let now = Instant::now();
        let snapshot = Snapshot::new(addresses.into_iter().map(instance), Origin::Fixed, now);
        let state = Arc::new(PoolState::new(service, Arc::new(options), now));
        state.publish(snapshot.into(), now);
        Self { state, feed: None, _hold: None, source_name: None }
    }

    /// A pool that follows a watch, and starts the task that does so.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn from_watch(service: impl Into<Arc<str>>, watched: watch::Receiver<Watched>) -> Self {
        Self::fed(service.into(), Source::watch(watched), PoolOptions::default())
    }

    /// As [`Pool::from_watch`], with options.
    ///
    /// # Errors
    ///
    /// An option is out of bounds: the error names the bound ([`Error::is_setting`]).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn from_watch_with(
        service: impl Into<Arc<str>>,
        watched: watch::Receiver<Watched>,
        options: PoolOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        Ok(Self::fed(service.into(), Source::watch(watched), options))
    }

    /// A pool that starts a watch while it is held or used. Not held yet.
    fn shared(
        service: Arc<str>,
        source_name: &str,
        options: Arc<PoolOptions>,
        watch: impl Fn() -> Watch + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(PoolState::new(service, options, Instant::now()));
        let feed = Arc::new(Feed::shared(&state, watch));
        Self { state, feed: Some(feed), _hold: None, source_name: Some(source_name.into()) }
    }

    /// The same pool, held.
    fn held(&self) -> Self {
        let hold = self.background().map(|background| background.hold(LINGER));
        Self { _hold: hold, ..self.clone() }
    }

    /// The same pool, not held: it ends [`LINGER`] after the last [`Pool::touch`].
    pub(crate) fn without_hold(self) -> Self {
        Self { _hold: None, ..self }
    }

    /// Counts as a use, so that the pool lingers longer.
    pub(crate) fn touch(&self, now: Instant) {
        if let Some(background) = self.background() {
            background.touch(now);
        }
    }

    /// Whether there is an instance that may be called.
    pub(crate) fn has_instances(&self) -> bool {
        self.state.published().has_any()
    }

    /// Whether its feeding task has ended and can be started again.
    pub(crate) fn has_ended(&self) -> bool {
        self.background().is_some_and(|background| !background.is_running())
    }

    fn background(&self) -> Option<&Background<watch::Receiver<Watched>>> {
        self.feed.as_ref()?.background()
    }

    /// Restarts the feeding task if its runtime has ended. Otherwise it costs one atomic read.
    #[inline]
    fn keep_fed(&self) {
        if let Some(background) = self.background() {
            background.keep_running();
        }
    }

    /// The reason for which there was no first answer in time: the failure of its watch, or the query without an answer.
    pub(crate) fn silence(&self) -> Arc<Error> {
        let latest = self.feed.as_ref().and_then(|feed| feed.latest());
        latest.and_then(|watched| watched.failure).unwrap_or_else(|| {
            let source_name = self.source_name.as_deref().unwrap_or("the source of the pool");
            Arc::new(Error::new(Kind::Timeout, format!("no answer yet from {source_name}")))
        })
    }

    /// A pool that follows a stream of full snapshots, and starts the task that does so. When the stream ends, the last one stays.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn from_stream(
        service: impl Into<Arc<str>>,
        snapshots: impl Stream<Item = Snapshot> + Send + 'static,
    ) -> Self {
        Self::fed(service.into(), Source::Stream(Box::pin(snapshots)), PoolOptions::default())
    }

    fn fed(service: Arc<str>, source: Source, options: PoolOptions) -> Self {
        let options = Arc::new(options);
        let state = Arc::new(PoolState::new(service, options, Instant::now()));
        let feed = Arc::new(Feed::start(Arc::clone(&state), source));
        Self { state, feed: Some(feed), _hold: None, source_name: None }
    }

    /// The service.
    pub fn service(&self) -> &Arc<str> {
        self.state.service()
    }

    /// The counters of the pool.
    pub(crate) fn counts(&self) -> &Counts {
        self.state.counts()
    }

    pub(crate) fn names(&self) -> &Names {
        self.state.names()
    }

    /// Waits for the first answer, which may be empty. Afterwards it returns at once. Cancel safe.
    ///
    /// # Errors
    ///
    /// The source of the pool has ended without an answer.
    pub async fn ready(&self) -> Result<(), Error> {
        self.keep_fed();
        self.state.ready().await
    }

    /// Picks an instance for one call that must not be repeated. Takes no lock, does not allocate and does not wait.
    ///
    /// An ejected instance is picked only if there is no other, or if its ejection was over for a minute without a probe.
    ///
    /// # Errors
    ///
    /// There is no instance to call.
    #[inline]
    pub fn pick(&self) -> Result<Pick, PickError> {
        self.pick_with(PickOptions::new())
    }

    /// Picks an instance for one call with options: whether it can be repeated, what it has tried, a key.
    ///
    /// # Errors
    ///
    /// There is no instance to call, or no other one ([`PickError::AllTried`]): then [`Pool::pick`] returns one again.
    #[inline]
    pub fn pick_with(&self, options: PickOptions<'_>) -> Result<Pick, PickError> {
        let PickOptions { request, now } = options;
        self.keep_fed();
        let published = self.state.published();
        let now = self.state.moment(now.unwrap_or_else(Instant::now));
        let mut draws = RandomDraws(fastrand::Rng::with_seed(self.state.options.seed()));
        match published.ranks.pick(&mut draws, now, request) {
            Some(choice) => {
                let call = Call { picked: now, is_out: choice.is_out };
                Ok(Pick::new(Arc::clone(choice.member), call))
            }
            None if !request.tried.is_empty() && published.has_any() => Err(PickError::AllTried),
            None => Err(published.empty),
        }
    }
}

/// For simulations, which have no task.
#[cfg(test)]
impl Pool {
    pub(crate) fn simulated(service: &str, options: PoolOptions, now: Instant) -> Self {
        let state = Arc::new(PoolState::new(service.into(), Arc::new(options), now));
        Self { state, feed: None, _hold: None, source_name: None }
    }

    /// Returns when to publish again if there is no earlier answer.
    pub(crate) fn publish(&self, watched: Watched, now: Instant) -> Option<Instant> {
        self.state.publish(watched, now)
    }

    pub(crate) fn members(&self) -> Vec<Arc<crate::member::Member>> {
        self.state.published().members.clone()
    }
}

#[cfg(test)]
mod tests;
