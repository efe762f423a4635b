//! The last minutes of the totals, one sample per second.

use std::collections::VecDeque;

use serde::Serialize;

use crate::wallet::Totals;

/// Samples that are kept: five minutes.
const SAMPLES_MAX: usize = 300;

/// The totals at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) coins: u64,
    pub(super) hashes: u64,
    /// Seconds since 1970.
    pub(super) now: f64,
}

impl Sample {
    pub(super) fn new(totals: Totals, now: f64) -> Self {
        let Totals { coins, hashes } = totals;
        Self { coins, hashes, now }
    }
}

/// Samples, oldest first. While redis did not answer, there are none.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct History(VecDeque<Sample>);

impl History {
    pub(super) fn add(&mut self, sample: Sample) {
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }
}
