//! A limit on connections, for one route or for all, shared by the workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of connections that may exist, and that do.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    max: AtomicUsize,
    in_use: AtomicUsize,
}

/// One connection. It is returned on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<ConnectionLimit>);

impl ConnectionLimit {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: AtomicUsize::new(max), in_use: AtomicUsize::new(0) })
    }

    /// Another limit. Connections above a lower one stay.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// None at the limit.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<Permit> {
        if self.in_use.fetch_add(1, Relaxed) >= self.max() {
            self.in_use.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_permits_are_returned() {
        let limit = ConnectionLimit::new(2);
        let taken: Vec<_> = (0..3).map_while(|_| limit.acquire()).collect();
        assert_eq!((taken.len(), limit.in_use()), (2, 2));
        drop(taken);
        assert_eq!(limit.in_use(), 0);
        limit.set_max(0);
        assert!(limit.acquire().is_none());
        assert_eq!(limit.in_use(), 0);
    }
}
