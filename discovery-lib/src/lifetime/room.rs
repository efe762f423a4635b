//! Eviction of entries when another key is added. Pure.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

/// How something that is kept by its key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// In use: it stays.
    Held,
    /// Nothing uses it now; it ends at this time unless something does.
    Lingering(Instant),
    /// It has stopped.
    Ended,
}

/// Removes what has ended, and of what lingers the entries that would end first, until fewer than `max` linger, so that one more fits. What
/// is held is never removed.
pub(crate) fn make_room<K: Clone + Eq + Hash, V>(
    kept: &mut HashMap<K, V>,
    max: usize,
    usage: impl Fn(&V) -> Usage,
) {
    kept.retain(|_, value| usage(value) != Usage::Ended);
    let mut lingering: Vec<_> = kept
        .iter()
        .filter_map(|(key, value)| match usage(value) {
            Usage::Lingering(until) => Some((until, key.clone())),
            Usage::Held | Usage::Ended => None,
        })
        .collect();
    let surplus = (lingering.len() + 1).saturating_sub(max);
    if surplus > 0 {
        lingering.sort_by_key(|(until, _)| *until);
        for (_, key) in lingering.into_iter().take(surplus) {
            kept.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_is_held_stays_and_what_was_used_last_stays_longest(
            kinds in vec(0..40_u64, 0..60),
            max in 1..20_usize,
        ) {
            let now = Instant::now();
            let usage = |kind: &u64| match *kind {
                0 => Usage::Held,
                1 => Usage::Ended,
                seconds => Usage::Lingering(now + Duration::from_secs(seconds)),
            };
            let mut kept: HashMap<_, _> = kinds.iter().copied().enumerate().collect();
            make_room(&mut kept, max, usage);
            let held = |kinds: &[u64]| kinds.iter().filter(|kind| **kind == 0).count();
            let left: Vec<_> = kept.into_values().collect();
            prop_assert_eq!(held(&left), held(&kinds));
            prop_assert!(!left.contains(&1));
            let mut lingered: Vec<_> = kinds.into_iter().filter(|kind| *kind > 1).collect();
            let mut lingers: Vec<_> = left.into_iter().filter(|kind| *kind > 1).collect();
            lingered.sort_unstable();
            lingers.sort_unstable();
            prop_assert_eq!(lingers.len(), lingered.len().min(max - 1));
            prop_assert!(lingered.ends_with(&lingers));
        }
    }
}
