//! Passes the eligible members of a rank to a policy of the user.

use std::{cell::Cell, sync::Arc};

use super::{
    Chooser, Eligible,
    policy::{Candidates, Policy, RandomDraws},
    ranks::Tier,
};
use crate::member::{Member, Moment};

thread_local! {
    /// Indexes of eligible members, reused by the picks of a thread. A policy that picks from another pool finds it empty, and allocates.
    static PLACES: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// A policy, with the key of one pick.
pub(super) struct Custom<'p> {
    pub(super) policy: &'p dyn Policy,
    pub(super) key: Option<u64>,
}

impl Chooser for Custom<'_> {
    fn choose<'a>(
        &self,
        tier: &'a Tier,
        draws: &mut RandomDraws,
        _: Moment,
        eligible: &mut impl Eligible<'a>,
    ) -> Option<&'a Arc<Member>> {
        let mut places = PLACES.take();
        places.clear();
        let all = (0..).zip(&tier.entries);
        places.extend(all.filter(|(_, it)| eligible(&it.member)).map(|(place, _)| place));
        let chosen = places.len().checked_sub(1).map(|last| {
            let candidates = Candidates::new(&tier.entries, &places);
            let index = self.policy.choose(&candidates, self.key, draws).min(last);
            &tier.entries[places[index] as usize].member
        });
        PLACES.set(places);
        chosen
    }
}
