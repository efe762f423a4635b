//! Encoded answers: one encoding serves all who ask the same while it holds. Whether it still holds is for its owner to say.
//!
//! An answer's slot is locked while the answer is made, so those who ask the same wait for it rather than make it too, and others do not wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many answers are kept, and of how many bytes in all. When there are more, all are dropped: they are cheap to make again.
const ANSWERS_MAX: usize = 512;
const ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Answers by what was asked.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Mutex<Kept<K, V>>);

#[derive(Debug)]
struct Kept<K, V> {
    /// Each with its bytes.
    slots: HashMap<K, (Slot<V>, usize)>,
    bytes: usize,
}

/// The place of one answer; empty until it is made.
#[derive(Debug)]
pub(crate) struct Slot<V>(Arc<Mutex<Option<V>>>);

impl<V> Slot<V> {
    /// The answer that is there, and the only right to make another.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Clone for Slot<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Kept { slots: HashMap::new(), bytes: 0 }))
    }
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// The slot for this.
    pub(crate) fn slot(&self, key: &K) -> Slot<V> {
        let mut kept = self.kept();
        if let Some((slot, _)) = kept.slots.get(key) {
            return slot.clone();
        }
        if kept.slots.len() >= ANSWERS_MAX {
            kept.clear();
        }
        let slot = Slot(Arc::default());
        kept.slots.insert(key.clone(), (slot.clone(), 0));
        slot
    }

    /// The answer in this slot has so many bytes now. One that is too long is not kept.
    pub(crate) fn weigh(&self, key: &K, slot: &Slot<V>, bytes: usize) {
        let mut kept = self.kept();
        let same = |(own, _): &&(Slot<V>, usize)| Arc::ptr_eq(&own.0, &slot.0);
        let Some((_, old)) = kept.slots.get(key).filter(same) else { return };
        kept.bytes = kept.bytes - old + bytes;
        if bytes > ANSWERS_BYTES_MAX {
            kept.slots.remove(key);
            kept.bytes -= bytes;
        } else if kept.bytes > ANSWERS_BYTES_MAX {
            kept.clear();
            kept.bytes = bytes;
            kept.slots.insert(key.clone(), (slot.clone(), bytes));
        } else if let Some((_, own)) = kept.slots.get_mut(key) {
            *own = bytes;
        }
    }

    /// There is no answer to keep for this.
    pub(crate) fn drop_slot(&self, key: &K) {
        let mut kept = self.kept();
        if let Some((_, bytes)) = kept.slots.remove(key) {
            kept.bytes -= bytes;
        }
    }

    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Kept<K, V> {
    fn clear(&mut self) {
        self.slots.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Cache<usize, ()>, key: usize, bytes: usize) {
        cache.weigh(&key, &cache.slot(&key), bytes);
        let kept = cache.kept();
        let held: usize = kept.slots.values().map(|(_, bytes)| bytes).sum();
        assert_eq!(held, kept.bytes);
        assert!(held <= ANSWERS_BYTES_MAX && kept.slots.len() <= ANSWERS_MAX);
    }

    #[test]
    fn what_is_kept_stays_within_its_limits() {
        let cache = Cache::default();
        for key in 0..2 * ANSWERS_MAX {
            keep(&cache, key, 100);
        }
        for key in 0..64 {
            keep(&cache, key, 1024 * 1024);
        }
        assert!(!cache.kept().slots.is_empty());
        keep(&cache, 0, ANSWERS_BYTES_MAX + 1);
        assert!(!cache.kept().slots.contains_key(&0), "too long to be kept");
    }

    #[test]
    fn another_answer_takes_the_weight_of_the_one_before() {
        let cache = Cache::default();
        keep(&cache, 1, 100);
        keep(&cache, 1, 50);
        let kept = cache.kept();
        assert_eq!((kept.bytes, kept.slots.len()), (50, 1));
    }

    #[test]
    fn a_slot_that_was_dropped_weighs_nothing() {
        let cache = Cache::<_, ()>::default();
        let slot = cache.slot(&1);
        cache.clear();
        cache.weigh(&1, &slot, 100);
        assert_eq!(cache.kept().bytes, 0);
    }

    #[test]
    fn making_one_answer_holds_up_nobody_who_asks_something_else() {
        let cache = Cache::<_, u8>::default();
        let one = cache.slot(&1);
        let _made = one.lock();
        *cache.slot(&2).lock() = Some(2);
        assert!(cache.slot(&1).0.try_lock().is_err());
    }
}
