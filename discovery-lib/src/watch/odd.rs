//! The records of an answer that were left out: one warning for each, as long as it stays as it is.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::warn;

use crate::agent::LeftOut;

/// Records of one answer that are warned of one by one. The rest is counted.
const WARNINGS_MAX: usize = 20;

/// What was left out of the last answer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Odd(Arc<Mutex<BTreeSet<LeftOut>>>);

impl Odd {
    /// Warns of those that were not left out of the answer before.
    pub(super) fn tell(&self, service: &str, left_out: Vec<LeftOut>) {
        let news = self.news(left_out);
        for LeftOut { node, id, why } in news.iter().take(WARNINGS_MAX) {
            warn!(service, node, id, why, "record left out: it can't be used");
        }
        if let Some(more) = news.len().checked_sub(WARNINGS_MAX).filter(|more| *more > 0) {
            warn!(service, more, "records left out: they can't be used");
        }
    }

    fn news(&self, left_out: Vec<LeftOut>) -> Vec<LeftOut> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out: BTreeSet<_> = left_out.into_iter().collect();
        let news = left_out.difference(&known).cloned().collect();
        *known = left_out;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_once_until_it_changes_or_comes_again() {
        let odd = Odd::default();
        let record = |id: &str, why: &str| LeftOut::new("larry", id, why);
        let (a, b) = (record("a", "port 0"), record("b", "port 0"));
        for (answer, told) in [
            (vec![a.clone()], vec![a.clone()]),
            (vec![a.clone()], vec![]),
            (vec![b.clone(), a.clone()], vec![b.clone()]),
            (vec![record("a", "no host"), b], vec![record("a", "no host")]),
            (vec![], vec![]),
            (vec![a.clone()], vec![a]),
        ] {
            assert_eq!(odd.news(answer.clone()), told, "{answer:?}");
        }
    }
}
