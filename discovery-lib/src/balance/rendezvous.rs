//! Rendezvous hashing: calls with one key go to one instance, while that is eligible (Thaler and Ravishankar, 1998).
//!
//! Each member gets a score from the key and its own identity, and the highest one wins. When a member leaves, only the keys that it had move;
//! when one joins, only those that it wins. The next choice after a failed try is the second highest score, so it is stable too. Scores are
//! weighted: a member of weight 3 gets three times as many keys as one of weight 1 (Schindelhauer and Schomaker, 2005).

use std::sync::Arc;

use super::{
    Chooser, Eligible,
    hash::mix,
    policy::RandomDraws,
    tier::{Entry, Tier},
};
use crate::member::{Member, Moment};

/// The choice by a key.
#[derive(Debug)]
pub(super) struct Rendezvous {
    pub(super) key: u64,
}

impl Chooser for Rendezvous {
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        _: &mut RandomDraws,
        _: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>> {
        let entries = tier.entries.iter().filter(|entry| eligible(&entry.member));
        let (_, entry) = highest(self.key, tier.by_weight.is_even(), entries.enumerate())?;
        Some(&entry.member)
    }
}

/// The entry with the highest score, and its index. `is_even`: all have the same weight.
pub(super) fn highest<'a>(
    key: u64,
    is_even: bool,
    entries: impl Iterator<Item = (usize, &'a Entry)>,
) -> Option<(usize, &'a Entry)> {
    if is_even {
        // The score grows with the hash.
        return entries.max_by_key(|(_, entry)| hash(key, entry));
    }
    let scored =
        entries.map(|(index, entry)| (score(hash(key, entry), entry.weight), index, entry));
    let best = scored.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
    best.map(|(_, index, entry)| (index, entry))
}

fn hash(key: u64, entry: &Entry) -> u64 {
    mix(key ^ entry.identity)
}

/// Exponentially distributed with the weight as its rate: the smallest such number belongs to a member with the probability of its share. The
/// sign is changed, so that the highest score wins.
fn score(hash: u64, weight: u16) -> f64 {
    // In 0..1, without 0: the upper 53 bits, and a half.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    uniform.ln() / f64::from(weight)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{super::testing::tier, *};
    use crate::{PickOptions, Pool};

    /// Ports of the instances that these keys get.
    fn ports(pool: &Pool, keys: std::ops::Range<u64>) -> Vec<u16> {
        let port = |key| pool.pick_with(PickOptions::new().key(key)).unwrap().instance().port;
        keys.map(port).collect()
    }

    fn pool(ports: impl IntoIterator<Item = u16>) -> Pool {
        Pool::fixed("web", ports.into_iter().map(|port| SocketAddr::from(([10, 0, 0, 1], port))))
    }

    #[test]
    fn a_key_gets_the_same_instance_from_every_pool() {
        assert_eq!(ports(&pool(1..=10), 0..1000), ports(&pool((1..=10).rev()), 0..1000));
    }

    #[test]
    fn keys_are_spread_evenly() {
        let ports = ports(&pool(1..=10), 0..10_000);
        for port in 1..=10 {
            let share = ports.iter().filter(|it| **it == port).count();
            assert!((850..1150).contains(&share), "{port}: {share} of 10000");
        }
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let tier = tier(&[3, 1]);
        let is_heavy =
            |key: &u64| highest(*key, false, tier.entries.iter().enumerate()).unwrap().0 == 0;
        let share = (0..10_000).filter(is_heavy).count();
        assert!((7300..7700).contains(&share), "{share} of 10000");
    }

    #[test]
    fn equal_weights_need_no_logarithm() {
        let tier = tier(&[7; 20]);
        let of = |key, is_even| highest(key, is_even, tier.entries.iter().enumerate()).unwrap().0;
        assert!((0..1000).all(|key| of(key, true) == of(key, false)));
    }

    #[test]
    fn only_the_keys_of_an_instance_that_left_move() {
        let (before, after) = (ports(&pool(1..=10), 0..1000), ports(&pool(1..=9), 0..1000));
        for (before, after) in before.into_iter().zip(after) {
            assert!(before == 10 || before == after);
        }
    }

    #[test]
    fn the_next_instance_of_a_key_is_the_one_it_gets_without_the_first() {
        let all = pool(1..=5);
        for key in 0..100 {
            let first = all.pick_with(PickOptions::new().key(key)).unwrap();
            let tried = [first.member()];
            let next = all.pick_with(PickOptions::new().key(key).apart_from(&tried)).unwrap();
            let others = pool((1..=5).filter(|port| *port != first.instance().port));
            assert_eq!(vec![next.instance().port], ports(&others, key..key + 1));
        }
    }
}
