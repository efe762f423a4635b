//! Passes the eligible members of a rank to a policy.

use std::{cell::Cell, sync::Arc};

use super::{
    Chooser, Eligible,
    candidates::Candidates,
    policy::{Policy, RandomDraws},
    tier::Tier,
};
use crate::member::{Member, Moment};

thread_local! {
    /// Places of eligible members, reused by the picks of a thread. A policy that picks from another pool finds it empty, and allocates.
    static PLACES: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// A policy, with the key of one pick.
pub(super) struct Custom<'p> {
    pub(super) policy: &'p dyn Policy,
    pub(super) key: Option<u64>,
}

impl Custom<'_> {
    /// The place of the chosen entry.
    fn ask(&self, candidates: &Candidates<'_>, draws: &mut RandomDraws) -> Option<usize> {
        let last = candidates.len().checked_sub(1)?;
        Some(candidates.place(self.policy.choose(candidates, self.key, draws).min(last)))
    }
}

impl Chooser for Custom<'_> {
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>> {
        let mut places = PLACES.take();
        places.clear();
        let all = (0..).zip(&tier.entries);
        places.extend(all.filter(|(_, it)| eligible(&it.member)).map(|(place, _)| place));
        let chosen = self.ask(&Candidates::at(tier, &places, now), draws);
        PLACES.set(places);
        chosen.map(|place| &tier.entries[place].member)
    }

    fn choose_any<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        now: Moment,
    ) -> Option<&'a Arc<Member>> {
        let chosen = self.ask(&Candidates::all(tier, now), draws);
        chosen.map(|place| &tier.entries[place].member)
    }
}
