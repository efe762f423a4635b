//! Locality: the same node first, then the same zone, then the same datacenter, then any other; farther if the near ones are too few or too busy.
//!
//! Two rules decide how many calls go farther, at each distance:
//!
//! - Eligible members. While a share s of the near members is eligible, min(1, s x 1.4) of the calls stay near, as by Envoy's overprovisioning
//!   factor: the others of five can carry the calls of one that is ejected, those of half of them can't.
//! - Load. A call goes farther if the near member has more than 4 times the load (latency x (calls in flight + 1) / weight) of a farther one.
//!
//! Source: Envoy, "Priority levels" and "Locality weighted load balancing". Envoy knows no load; its rule is the first one alone.

use super::{
    candidates::{Candidates, Level},
    p2c::{PeakEwma, is_heavier_by},
    policy::{Policy, RandomDraws},
};
use crate::Instance;

/// Picks a near candidate, as by [`PeakEwma`] among those at one distance: on the same node, else in the same zone, else in the same datacenter,
/// else any other. Calls go farther if too few of the near ones are eligible, or if these have too much load.
///
/// For zones whose traffic is slow or billed. Each program says where it is; a pool that should also have instances of other datacenters gets
/// them from [`Pool::from_stream`](crate::Pool::from_stream), since an answer of Consul is of one datacenter. Zones are a key of the node meta
/// in Consul (`node_meta` of the agent's configuration). With zones of different size, the callers of a small zone use few instances: their
/// share of the calls is that of the callers, not that of the instances.
///
/// ```
/// use discovery::{Locality, PoolOptions};
///
/// let near = Locality::new().node("larry").zone("availability_zone", "eu-1a").datacenter("dc1");
/// // In this zone, unless the other ones are ten times less loaded.
/// let options = PoolOptions::new().policy(near.load_ratio(10));
/// ```
///
/// Source of the rule for ejected instances: Envoy's priority levels.
#[derive(Debug, Clone)]
pub struct Locality {
    node: Option<Box<str>>,
    zone: Option<Zone>,
    datacenter: Option<Box<str>>,
    load_ratio: u8,
    overprovisioning_percent: u16,
}

/// A key of the node meta and its value.
#[derive(Debug, Clone)]
struct Zone {
    key: Box<str>,
    name: Box<str>,
}

impl Default for Locality {
    fn default() -> Self {
        Self {
            node: None,
            zone: None,
            datacenter: None,
            load_ratio: 4,
            overprovisioning_percent: 140,
        }
    }
}

impl Locality {
    /// Nowhere yet: a node, a zone or a datacenter is needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The Consul node on which this program runs.
    #[must_use]
    pub fn node(self, node: impl Into<Box<str>>) -> Self {
        Self { node: Some(node.into()), ..self }
    }

    /// The zone in which this program runs: a key of the node meta, and its value here.
    #[must_use]
    pub fn zone(self, meta_key: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self { zone: Some(Zone { key: meta_key.into(), name: name.into() }), ..self }
    }

    /// The datacenter in which this program runs.
    #[must_use]
    pub fn datacenter(self, datacenter: impl Into<Box<str>>) -> Self {
        Self { datacenter: Some(datacenter.into()), ..self }
    }

    /// How many times less load a farther instance must have to get a call: 1 to 100, default 4. A larger one keeps more calls near, and
    /// makes more of them wait there.
    #[must_use]
    pub fn load_ratio(self, times: u8) -> Self {
        Self { load_ratio: times, ..self }
    }

    /// The load that the near instances can carry, in percent of their usual one: 100 to 1000, default 140. With 140, calls go farther once less
    /// than 71 % of the near instances are eligible; with 100, as soon as one is ejected.
    #[must_use]
    pub fn overprovisioning(self, percent: u16) -> Self {
        Self { overprovisioning_percent: percent, ..self }
    }

    /// The share of the calls that stay at a distance: 1 or more if all.
    fn staying(&self, level: Level<'_>) -> f64 {
        let eligible = level.candidates.len() as f64 / level.members as f64;
        eligible * f64::from(self.overprovisioning_percent) / 100.0
    }
}

impl Policy for Locality {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &mut RandomDraws,
    ) -> usize {
        let mut levels = candidates.levels();
        let Some(mut level) = levels.next() else { return 0 };
        let mut chosen = PeakEwma.choose(&level.candidates, key, random);
        for farther in levels {
            let staying = self.staying(level);
            let leaves = staying < 1.0 && random.f64() >= staying;
            let other = PeakEwma.choose(&farther.candidates, key, random);
            let (near, far) = (level.candidates.entry(chosen), farther.candidates.entry(other));
            let times = f32::from(self.load_ratio);
            if !leaves && !is_heavier_by(times, near, far, candidates.now()) {
                break;
            }
            (level, chosen) = (farther, other);
        }
        level.candidates.offset_in(candidates) + chosen
    }

    fn distance(&self, instance: &Instance) -> u8 {
        let is_same = |here: &Option<Box<str>>, there: &str| here.as_deref() == Some(there);
        let datacenter = instance.datacenter.as_deref();
        let is_elsewhere = self.datacenter.is_some()
            && datacenter.is_some_and(|it| !is_same(&self.datacenter, it));
        let in_zone = |zone: &Zone| {
            instance.node_meta.get(&*zone.key).is_some_and(|name| **name == *zone.name)
        };
        // The names of nodes and zones are unique in a datacenter only.
        if is_elsewhere {
            3
        } else if is_same(&self.node, &instance.node) {
            0
        } else if self.zone.as_ref().is_some_and(in_zone) {
            1
        } else if datacenter.is_some_and(|it| is_same(&self.datacenter, it)) {
            2
        } else {
            3
        }
    }

    fn check(&self) -> Result<(), String> {
        let Self { load_ratio, overprovisioning_percent, .. } = self;
        if self.node.is_none() && self.zone.is_none() && self.datacenter.is_none() {
            return Err("Locality has no place: it needs a node, a zone or a datacenter".into());
        }
        if !(1..=100).contains(load_ratio) {
            return Err(format!("load_ratio of Locality is {load_ratio}: it must be 1 to 100"));
        }
        if !(100..=1000).contains(overprovisioning_percent) {
            return Err(format!(
                "overprovisioning of Locality is {overprovisioning_percent}: it must be 100 to 1000 percent"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use proptest::prelude::*;

    use super::{super::testing::*, *};
    use crate::{
        Host,
        balance::{policy::PolicyKind, tier::Tier},
        member::{Charge, Moment},
    };

    fn here() -> Locality {
        Locality::new().node("a1").zone("zone", "a").datacenter("dc1")
    }

    fn instance(port: u16, (node, zone, datacenter): (&str, &str, &str)) -> Instance {
        Instance {
            node: node.into(),
            datacenter: Some(datacenter.into()),
            node_meta: Arc::new(BTreeMap::from([("zone".to_owned(), zone.to_owned())])),
            ..Instance::at("web", Host::from("10.0.0.1"), port)
        }
    }

    /// So many on the node, in the zone, in the datacenter and elsewhere.
    fn tier(counts: [usize; 4]) -> Tier {
        let places =
            [("a1", "a", "dc1"), ("a2", "a", "dc1"), ("b1", "b", "dc1"), ("a1", "a", "dc2")];
        let all = places.into_iter().zip(counts).flat_map(|(place, count)| vec![place; count]);
        // In reverse, so that the order is the policy's.
        let members = (1..).zip(all).map(|(port, place)| member(instance(port, place)));
        let members = members.collect::<Vec<_>>().into_iter().rev().collect();
        of(members, &PolicyKind::Custom(Arc::new(here())))
    }

    /// The share of picks per distance.
    fn shares(candidates: &Candidates<'_>, policy: &Locality) -> [f64; 4] {
        let counts = counts(policy, candidates, 4000, 5);
        let mut shares = [0.0; 4];
        for (count, candidate) in counts.iter().zip(candidates.iter()) {
            shares[usize::from(candidate.distance())] += *count as f64 / 4000.0;
        }
        shares
    }

    #[test]
    fn distances_are_node_zone_datacenter_and_elsewhere() {
        for (place, distance) in [
            (("a1", "a", "dc1"), 0),
            (("a2", "a", "dc1"), 1),
            (("b1", "b", "dc1"), 2),
            (("a1", "a", "dc2"), 3),
        ] {
            assert_eq!(here().distance(&instance(1, place)), distance, "{place:?}");
        }
        let unknown = Instance::at("web", Host::from("10.0.0.1"), 1);
        assert_eq!(here().distance(&unknown), 3);
        assert_eq!(Locality::new().zone("zone", "a").distance(&instance(1, ("x", "a", "dc2"))), 1);
    }

    #[test]
    fn the_nearest_get_all_calls_while_they_are_eligible_and_not_busier() {
        for (counts, nearest) in
            [([1, 5, 5, 5], 0), ([0, 2, 5, 5], 1), ([0, 0, 1, 9], 2), ([0, 0, 0, 3], 3)]
        {
            let tier = tier(counts);
            assert_eq!(shares(&all(&tier), &here())[nearest], 1.0, "{counts:?}");
        }
    }

    #[test]
    fn calls_go_farther_in_proportion_to_the_near_ones_that_are_missing() {
        let tier = tier([0, 10, 10, 0]);
        for (missing, staying) in [(0, 1.0), (2, 1.0), (3, 0.98), (5, 0.7), (9, 0.14), (10, 0.0)] {
            let places: Vec<u32> = (missing..20).collect();
            let candidates = Candidates::at(&tier, &places, Moment::default());
            let near = shares(&candidates, &here())[1];
            assert!((near - staying).abs() < 0.04, "{near} with {missing} missing");
        }
    }

    #[test]
    fn a_call_goes_farther_to_a_quarter_of_the_load() {
        let tier = tier([1, 0, 4, 0]);
        let busy = &tier.entries[0].member.stats;
        for (calls, near) in [(3, 1.0), (4, 0.0)] {
            (busy.in_flight()..calls).for_each(|_| busy.enter());
            assert_eq!(shares(&all(&tier), &here())[0], near, "{calls} calls in flight");
        }
        assert_eq!(shares(&all(&tier), &here().load_ratio(5))[0], 1.0);
    }

    #[test]
    fn a_failing_near_one_is_left_before_it_is_ejected() {
        let tier = tier([1, 0, 4, 0]);
        for (entry, latency) in tier.entries.iter().zip([5000, 5, 5, 5, 5]) {
            let latency = Duration::from_millis(latency);
            entry.member.stats.charge(Charge::Measured, latency, Moment::default());
        }
        assert_eq!(shares(&all(&tier), &here())[0], 0.0);
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        for (policy, text) in [
            (Locality::new(), "needs a node, a zone or a datacenter"),
            (here().load_ratio(0), "is 0: it must be 1 to 100"),
            (here().load_ratio(101), "is 101: it must be 1 to 100"),
            (here().overprovisioning(99), "is 99: it must be 100 to 1000 percent"),
            (here().overprovisioning(1001), "is 1001: it must be 100 to 1000 percent"),
        ] {
            let error = policy.check().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
        assert_eq!(here().check(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_choice_is_a_candidate(counts in prop::array::uniform4(0_usize..4), mask: u16, key: Option<u64>, seed: u64) {
            let tier = tier(counts);
            let places: Vec<u32> = (0..tier.entries.len() as u32).filter(|it| mask >> it & 1 == 1).collect();
            prop_assume!(!places.is_empty());
            let candidates = Candidates::at(&tier, &places, Moment::default());
            let index = here().choose(&candidates, key, &mut draws(seed));
            prop_assert!(index < candidates.len());
        }
    }
}
