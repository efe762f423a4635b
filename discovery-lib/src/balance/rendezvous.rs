//! Rendezvous hashing: calls with one key go to one instance, while that is eligible (Thaler and Ravishankar, 1998).
//!
//! Each member gets a score from the key and its own identity, and the highest one wins. When a member leaves, only the keys that it had move;
//! when one joins, only those that it wins. The next choice after a failed try is the second highest score, so it is stable too. Scores are
//! weighted: a member of weight 3 gets three times as many keys as one of weight 1 (Schindelhauer and Schomaker, 2005).

use std::sync::Arc;

use super::{Chooser, Eligible, policy::RandomDraws, ranks::Tier};
use crate::{
    Instance,
    member::{Member, Moment},
};

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
        let members = tier.entries.iter().map(|entry| &entry.member);
        let scored = members
            .filter(|member| eligible(member))
            .map(|member| (score(self.key, &member.instance), member));
        scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, member)| member)
    }
}

/// Exponentially distributed with the weight as its rate: the smallest such number belongs to a member with the probability of its share. The
/// sign is changed, so that the highest score wins.
fn score(key: u64, instance: &Instance) -> f64 {
    let hash = mix(key ^ identity(instance));
    // In 0..1, without 0: the upper 53 bits, and a half.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    uniform.ln() / f64::from(instance.weight().max(1))
}

/// A hash of the id and the node, which are the same for all callers and all runs (FNV-1a).
fn identity(instance: &Instance) -> u64 {
    let separator = [0];
    let bytes = instance.id.as_str().bytes().chain(separator).chain(instance.node.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
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
        let mut heavy = Instance::at("web", "10.0.0.1".into(), 80);
        heavy.weights.passing = 3;
        let light = Instance::at("web", "10.0.0.2".into(), 80);
        let share = (0..10_000).filter(|key| score(*key, &heavy) > score(*key, &light)).count();
        assert!((7200..7800).contains(&share), "{share} of 10000");
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
