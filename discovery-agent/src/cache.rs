//! A cache of encoded answers. One encoding serves all callers with the same key while it is valid. The owner of the cache decides whether it is
//! valid.
//!
//! A slot is locked while its answer is encoded: callers with the same key wait for it instead of encoding it again, and other callers do not
//! wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Limits of the cache, in answers and in bytes. Above a limit the whole cache is cleared: an answer is cheap to encode again.
const ANSWERS_MAX: usize = 512;
const ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Answers by key.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Mutex<Kept<K, V>>);

#[derive(Debug)]
struct Kept<K, V> {
    /// Each slot with the size of its answer in bytes.
    slots: HashMap<K, (Slot<V>, usize)>,
    bytes: usize,
}

/// The slot of one answer. It is empty until the answer is encoded.
#[derive(Debug)]
pub(crate) struct Slot<V>(Arc<Mutex<Option<V>>>);

impl<V> Slot<V> {
    /// Locks the slot. Only the holder of the lock may encode the answer.
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
    /// The slot for this key.
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

    /// Sets the size of the answer in this slot, in bytes. An answer that is too large is not cached.
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

    /// Removes the slot: there is no answer to cache.
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
    fn the_cache_stays_within_its_limits() {
        let cache = Cache::default();
        for key in 0..2 * ANSWERS_MAX {
            keep(&cache, key, 100);
        }
        for key in 0..64 {
            keep(&cache, key, 1024 * 1024);
        }
        assert!(!cache.kept().slots.is_empty());
        keep(&cache, 0, ANSWERS_BYTES_MAX + 1);
        assert!(!cache.kept().slots.contains_key(&0), "too large for the cache");
    }

    #[test]
    fn a_new_answer_replaces_the_size_of_the_old_one() {
        let cache = Cache::default();
        keep(&cache, 1, 100);
        keep(&cache, 1, 50);
        let kept = cache.kept();
        assert_eq!((kept.bytes, kept.slots.len()), (50, 1));
    }

    #[test]
    fn a_dropped_slot_does_not_count() {
        let cache = Cache::<_, ()>::default();
        let slot = cache.slot(&1);
        cache.clear();
        cache.weigh(&1, &slot, 100);
        assert_eq!(cache.kept().bytes, 0);
    }

    #[test]
    fn encoding_one_answer_does_not_block_other_keys() {
        let cache = Cache::<_, u8>::default();
        let one = cache.slot(&1);
        let _made = one.lock();
        *cache.slot(&2).lock() = Some(2);
        assert!(cache.slot(&1).0.try_lock().is_err());
    }
}
