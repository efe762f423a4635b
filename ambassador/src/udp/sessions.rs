//! The sessions of a UDP socket, in the order of their last datagram. Pure: no socket, no clock.
//!
//! A session belongs to a client's address and the local address that it sent to, since its answers must come from there.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// A session ends after this time without a datagram in either direction. Protocols that keep a session open without traffic send a datagram
/// more often, because the NAT tables on their way forget a quiet one after 30 s to some minutes.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// At most `max` sessions. No operation on an existing session allocates.
#[derive(Debug)]
pub(super) struct Sessions<K, T> {
    index: HashMap<K, usize>,
    /// A list through `older` and `newer`, from the session that was quiet for the longest time. Without gaps: the last slot moves into one.
    slots: Vec<Slot<K, T>>,
    quietest: Option<usize>,
    latest: Option<usize>,
    max: usize,
}

#[derive(Debug)]
struct Slot<K, T> {
    key: K,
    value: T,
    active_at: Instant,
    older: Option<usize>,
    newer: Option<usize>,
}

impl<K: Copy + Eq + Hash, T> Sessions<K, T> {
    pub(super) fn new(max: usize) -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), quietest: None, latest: None, max }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.value)
    }

    /// The session of a datagram that passes now, in either direction.
    pub(super) fn touch(&mut self, key: &K, now: Instant) -> Option<&mut T> {
        let at = *self.index.get(key)?;
        if self.latest != Some(at) {
            self.unlink(at);
            self.link(at);
        }
        let slot = &mut self.slots[at];
        slot.active_at = now;
        Some(&mut slot.value)
    }

    /// A new session; it replaces one with the same key. If there are too many, the quietest one ends. Returns the session that ended.
    pub(super) fn insert(&mut self, key: K, value: T, now: Instant) -> Option<T> {
        let ended = match self.remove(&key) {
            None if self.len() >= self.max => self.remove_quietest(),
            replaced => replaced,
        };
        let at = self.slots.len();
        self.slots.push(Slot { key, value, active_at: now, older: None, newer: None });
        self.index.insert(key, at);
        self.link(at);
        ended
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<T> {
        let at = self.index.remove(key)?;
        self.unlink(at);
        let slot = self.slots.swap_remove(at);
        if at < self.slots.len() {
            self.renumber(self.slots.len(), at);
        }
        Some(slot.value)
    }

    /// Ends the session that was quiet for the longest time.
    pub(super) fn remove_quietest(&mut self) -> Option<T> {
        let key = self.slots[self.quietest?].key;
        self.remove(&key)
    }

    /// Ends one session that has been quiet for [`IDLE`]. Call it until it returns `None`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        self.remove_quietest()
    }

    /// The next time at which a session expires, if no datagram comes.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        Some(self.slots[self.quietest?].active_at + IDLE)
    }

    /// Appends a slot at the end of the list.
    fn link(&mut self, at: usize) {
        self.slots[at].older = self.latest;
        self.slots[at].newer = None;
        match self.latest {
            Some(latest) => self.slots[latest].newer = Some(at),
            None => self.quietest = Some(at),
        }
        self.latest = Some(at);
    }

    /// Takes a slot out of the list.
    fn unlink(&mut self, at: usize) {
        let Slot { older, newer, .. } = self.slots[at];
        self.set_newer(older, newer);
        self.set_older(newer, older);
    }

    /// The slot at `from` is at `to` now.
    fn renumber(&mut self, from: usize, to: usize) {
        let Slot { key, older, newer, .. } = self.slots[to];
        self.index.insert(key, to);
        debug_assert!(
            older != Some(from) && newer != Some(from),
            "a slot is not its own neighbour"
        );
        self.set_newer(older, Some(to));
        self.set_older(newer, Some(to));
    }

    fn set_newer(&mut self, of: Option<usize>, newer: Option<usize>) {
        match of {
            Some(at) => self.slots[at].newer = newer,
            None => self.quietest = newer,
        }
    }

    fn set_older(&mut self, of: Option<usize>, older: Option<usize>) {
        match of {
            Some(at) => self.slots[at].older = older,
            None => self.latest = older,
        }
    }
}

#[cfg(test)]
mod tests;
