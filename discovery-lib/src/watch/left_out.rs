//! The records of an answer that were left out, and those that ACLs hide: one warning for each, until it changes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{info, warn};

use super::snapshot::Remarks;
use crate::agent::LeftOut;

/// Records of one answer that are logged one by one. The rest is counted.
const WARNINGS_MAX: usize = 20;

/// The records left out of the last answer. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOutLog(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    left_out: BTreeSet<LeftOut>,
    is_filtered_by_acls: bool,
}

impl LeftOutLog {
    /// Logs those that were not left out of the answer before.
    pub(super) fn report(&self, service: &str, remarks: &Remarks) {
        match self.filtered_now(remarks.is_filtered_by_acls) {
            Some(true) => {
                warn!(%service, "ACLs hide records from this token: there may be more instances")
            }
            Some(false) => info!(%service, "ACLs hide no record any more"),
            None => {}
        }
        let new = self.newly_left_out(&remarks.left_out);
        for LeftOut { node, id, why } in new.iter().take(WARNINGS_MAX) {
            warn!(%service, node, instance = id, error = why, "record left out: it can't be used");
        }
        if let Some(more) = new.len().checked_sub(WARNINGS_MAX).filter(|more| *more > 0) {
            warn!(%service, more, "records left out: they can't be used");
        }
    }

    fn newly_left_out(&self, left_out: &[LeftOut]) -> Vec<LeftOut> {
        let mut last = self.last();
        let left_out: BTreeSet<_> = left_out.iter().cloned().collect();
        let new = left_out.difference(&last.left_out).cloned().collect();
        last.left_out = left_out;
        new
    }

    /// None if it is as before.
    fn filtered_now(&self, is_filtered: bool) -> Option<bool> {
        let before = std::mem::replace(&mut self.last().is_filtered_by_acls, is_filtered);
        (before != is_filtered).then_some(is_filtered)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_logged_once_until_it_changes_or_appears_again() {
        let log = LeftOutLog::default();
        let record = |id: &str, why: &str| LeftOut::new("larry", id, why);
        let (a, b) = (record("a", "port 0"), record("b", "port 0"));
        for (answer, logged) in [
            (vec![a.clone()], vec![a.clone()]),
            (vec![a.clone()], vec![]),
            (vec![b.clone(), a.clone()], vec![b.clone()]),
            (vec![record("a", "no host"), b], vec![record("a", "no host")]),
            (vec![], vec![]),
            (vec![a.clone()], vec![a]),
        ] {
            assert_eq!(log.newly_left_out(&answer), logged, "{answer:?}");
        }
    }
    #[test]
    fn what_acls_hide_is_logged_once_until_it_changes() {
        let log = LeftOutLog::default();
        for (is_filtered, logged) in [
            (false, None),
            (true, Some(true)),
            (true, None),
            (false, Some(false)),
            (false, None),
            (true, Some(true)),
        ] {
            assert_eq!(log.filtered_now(is_filtered), logged);
        }
    }
}
