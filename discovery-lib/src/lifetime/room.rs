//! What makes room when another name is asked for. Pure.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

/// How something that is kept by its name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In use: it stays.
    Held,
    /// Nothing uses it now; it ends then unless something does.
    Lingers(Instant),
    /// It does nothing any more.
    Ended,
}

/// Removes what has ended, and of what lingers that which would end first until there are fewer than `max`, so that one more fits. What is
/// held is never removed.
pub(crate) fn make_room<K: Clone + Eq + Hash, V>(
    kept: &mut HashMap<K, V>,
    max: usize,
    standing: impl Fn(&V) -> Standing,
) {
    kept.retain(|_, value| standing(value) != Standing::Ended);
    let mut lingering: Vec<_> = kept
        .iter()
        .filter_map(|(key, value)| match standing(value) {
            Standing::Lingers(until) => Some((until, key.clone())),
            Standing::Held | Standing::Ended => None,
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
            let standing = |kind: &u64| match *kind {
                0 => Standing::Held,
                1 => Standing::Ended,
                seconds => Standing::Lingers(now + Duration::from_secs(seconds)),
            };
            let mut kept: HashMap<_, _> = kinds.iter().copied().enumerate().collect();
            make_room(&mut kept, max, standing);
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
