//! The members of a service, ready to pick from.
//!
//! Members and picker are published together in one `ArcSwap`: a pick reads one consistent state, takes no lock, allocates nothing and waits for
//! nobody. The states are made by one feeding task (`feed`), from full snapshots (`update`).

mod explain;
mod feed;
mod pick;
mod standing;
mod state;
mod update;

use std::{net::SocketAddr, sync::Arc};

use futures_core::Stream;
use tokio::{sync::watch, time::Instant};

use crate::{
    Error, Instance, Origin, Snapshot, Watch, Watched,
    balance::May,
    error::Kind,
    lifetime::{Background, Hold, LINGER},
    member::{Call, MemberId},
    names::Names,
};
pub use explain::{Explained, ExplainedMember, Explanation};
use feed::{Feed, Source};
pub use pick::{InFlight, Pick, PickError};
pub(crate) use standing::Pools;
use state::PoolState;

/// The members of a service, ready to pick from. Cheap to clone; clones share what they learn.
///
/// The task that feeds it ends with the last clone, whatever picks there are. A pool of [`Discovery::pool`](crate::Discovery::pool) is fed for
/// another 60 s, so that the next one finds what is known and learnt. When the runtime where it is fed ends before it, it is started again on
/// the runtime where it is used next, and begins as a new one does: knowing nothing.
#[derive(Debug, Clone)]
pub struct Pool {
    state: Arc<PoolState>,
    /// Keeps the feeding task alive; none for a fixed list.
    feed: Option<Arc<Feed>>,
    /// Keeps a standing task running.
    _hold: Option<Hold>,
    /// Whom its watch asks, for errors; none where no watch of ours feeds it.
    whom: Option<Arc<str>>,
}

impl Pool {
    /// A pool of instances that never change, for tests and for programs without a registry.
    pub fn fixed(
        service: impl Into<Arc<str>>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let service = service.into();
        let instance = |address: SocketAddr| {
            let host = crate::Host::Ip(address.ip());
            Arc::new(Instance::at(Arc::clone(&service), host, address.port()))
        };
        let instances = addresses.into_iter().map(instance).collect();
        let now = Instant::now();
        let snapshot = Snapshot { instances, index: 0, origin: Origin::Fixed, as_of: now };
        let state = Arc::new(PoolState::new(service, now));
        state.publish(Watched { snapshot: Some(Arc::new(snapshot)), failure: None }, now);
        Self { state, feed: None, _hold: None, whom: None }
    }

    /// A pool that follows a watch, and starts the task that does so.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn from_watch(service: impl Into<Arc<str>>, watched: watch::Receiver<Watched>) -> Self {
        Self::fed(service.into(), Source::watch(watched))
    }

    /// A pool that follows a watch of its own while it is held or used. Not held yet.
    fn standing(
        service: Arc<str>,
        whom: &str,
        watch: impl Fn() -> Watch + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(PoolState::new(service, Instant::now()));
        let feed = Arc::new(Feed::standing(&state, watch));
        Self { state, feed: Some(feed), _hold: None, whom: Some(whom.into()) }
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

    /// Uses it, so that it lives on.
    pub(crate) fn touch(&self, now: Instant) {
        if let Some(background) = self.background() {
            background.touch(now);
        }
    }

    /// Whether any instance is known that may be called.
    pub(crate) fn has_instances(&self) -> bool {
        self.state.published().has_any()
    }

    /// Whether what feeds it has ended and can be started again.
    pub(crate) fn has_ended(&self) -> bool {
        self.background().is_some_and(|background| !background.is_running())
    }

    fn background(&self) -> Option<&Background<watch::Receiver<Watched>>> {
        self.feed.as_ref()?.background()
    }

    /// Has it fed again, should the runtime have ended where it was. A read of memory otherwise.
    fn keep_fed(&self) {
        if let Some(background) = self.background() {
            background.keep_running();
        }
    }

    /// Why there was no first answer in time: the failure of its watch, or whom that waits for.
    pub(crate) fn silence(&self) -> Arc<Error> {
        let latest = self.feed.as_ref().and_then(|feed| feed.latest());
        latest.and_then(|watched| watched.failure).unwrap_or_else(|| {
            let whom = self.whom.as_deref().unwrap_or("what feeds the pool");
            Arc::new(Error::new(Kind::Timeout, format!("no answer yet from {whom}")))
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
        Self::fed(service.into(), Source::Stream(Box::pin(snapshots)))
    }

    fn fed(service: Arc<str>, source: Source) -> Self {
        let state = Arc::new(PoolState::new(service, Instant::now()));
        let feed = Arc::new(Feed::start(Arc::clone(&state), source));
        Self { state, feed: Some(feed), _hold: None, whom: None }
    }

    /// The service.
    pub fn service(&self) -> &Arc<str> {
        self.state.service()
    }

    pub(crate) fn names(&self) -> &Names {
        self.state.names()
    }

    /// Waits for the first answer, good or empty. Afterwards it returns at once. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If what feeds the pool has ended without any answer.
    pub async fn ready(&self) -> Result<(), Error> {
        self.keep_fed();
        self.state.ready().await
    }

    /// Takes a member for one call. No lock, no allocation, no await.
    ///
    /// It is none that is ejected, unless there is no other, or none has been probed for a minute after its ejection was over: the call may be
    /// one that must not be made twice.
    ///
    /// # Errors
    ///
    /// If there is nobody to call.
    pub fn pick(&self) -> Result<Pick, PickError> {
        self.pick_of(&[], May::NotProbe)
    }

    /// As [`Pool::pick`], for a call that may be made twice, such as a GET or a connection: it may be the probe of a member whose ejection is
    /// over. When it fails, try again with [`Pool::pick_apart_from`].
    ///
    /// # Errors
    ///
    /// If there is nobody to call.
    pub fn pick_repeatable(&self) -> Result<Pick, PickError> {
        self.pick_of(&[], May::Probe)
    }

    /// As [`Pool::pick`], but none of those that this call has tried already; they may be of a worse rank, but are never ejected ones on probe.
    ///
    /// # Errors
    ///
    /// If there is nobody to call, or nobody else ([`PickError::AllTried`]): then [`Pool::pick`] takes one again.
    pub fn pick_apart_from(&self, tried: &[MemberId]) -> Result<Pick, PickError> {
        self.pick_of(tried, May::NotProbe)
    }

    fn pick_of(&self, tried: &[MemberId], may: May) -> Result<Pick, PickError> {
        self.keep_fed();
        let published = self.state.published();
        let now = self.state.now();
        let mut draws = fastrand::Rng::with_seed(fastrand::u64(..));
        match published.ranks.pick(&mut draws, now, tried, may) {
            Some(choice) => {
                let call = Call { picked: now, is_out: choice.is_out };
                Ok(Pick::new(Arc::clone(choice.member), call))
            }
            None if !tried.is_empty() && published.has_any() => Err(PickError::AllTried),
            None => Err(published.empty),
        }
    }
}

#[cfg(test)]
mod tests;
