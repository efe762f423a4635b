//! A limit on connections, for one route or for all, shared by the workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of connections that may exist, and that do.
#[derive(Debug)]
pub(crate) struct Places {
    max: AtomicUsize,
    taken: AtomicUsize,
}

/// One connection. Given back on drop.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: AtomicUsize::new(max), taken: AtomicUsize::new(0) })
    }

    /// Another limit. Connections above a lower one stay.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// None at the limit.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        if self.taken.fetch_add(1, Relaxed) >= self.max() {
            self.taken.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_places_are_given_back() {
        let places = Places::new(2);
        let taken: Vec<_> = (0..3).map_while(|_| places.take()).collect();
        assert_eq!((taken.len(), places.taken()), (2, 2));
        drop(taken);
        assert_eq!(places.taken(), 0);
        places.set_max(0);
        assert!(places.take().is_none());
        assert_eq!(places.taken(), 0);
    }
}
