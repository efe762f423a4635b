//! Round robin: one candidate after the other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::policy::{Candidates, Policy, RandomDraws};

/// Picks one candidate after the other, regardless of latency, load and weight.
///
/// For instances that are alike and requests that cost the same. The default policy avoids slow instances; this one does not, except for
/// ejected ones, which are never candidates.
#[derive(Debug, Default)]
pub struct RoundRobin(AtomicUsize);

impl Policy for RoundRobin {
    fn choose(&self, candidates: &Candidates<'_>, _: Option<u64>, _: &mut RandomDraws) -> usize {
        self.0.fetch_add(1, Relaxed) % candidates.len()
    }
}
