//! The options of one pick.

use tokio::time::Instant;

use crate::{
    MemberId,
    balance::{Probe, Request},
};

/// The options of one pick. Default: the first try of a call that must not be repeated, without a key.
///
/// ```
/// # use discovery::{PickOptions, Pool};
/// # fn main() -> Result<(), discovery::PickError> {
/// # let pool = Pool::fixed("web", ["127.0.0.1:8001".parse().unwrap(), "127.0.0.1:8002".parse().unwrap()]);
/// let first = pool.pick_with(PickOptions::new().repeatable())?;
/// let second = pool.pick_with(PickOptions::new().apart_from(&[first.member()]))?;
/// assert_ne!(first.instance(), second.instance());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PickOptions<'a> {
    pub(super) request: Request<'a>,
    pub(super) now: Option<Instant>,
}

impl<'a> PickOptions<'a> {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a call that can be repeated, such as a GET or a connection: it may probe a member whose ejection is over. When it fails, try again
    /// with [`PickOptions::apart_from`].
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.request.probe = Probe::Allowed;
        self
    }

    /// None of these members, which the call has tried already. The pick may be of a worse rank, but does not probe an ejected member.
    #[must_use]
    pub fn apart_from(mut self, tried: &'a [MemberId]) -> Self {
        self.request.tried = tried;
        self
    }

    /// A key. By the default policy, calls with the same key go to the same instance while the set of instances stays the same, and only the
    /// keys of an instance that leaves move to others (rendezvous hashing). [`ConsistentHash`](crate::ConsistentHash) bounds the load that a
    /// key may bring to an instance; [`hash_key`](crate::hash_key) makes a key of text.
    #[must_use]
    pub fn key(mut self, key: u64) -> Self {
        self.request.key = Some(key);
        self
    }

    /// The time of the pick, for a caller that has just read the clock. Default: the pool reads it.
    #[must_use]
    pub fn at(mut self, now: Instant) -> Self {
        self.now = Some(now);
        self
    }
}
