//! Choosing one of the members that are equally good now: a `Policy` prepares a `Picker` once a change, the picker chooses at each pick.
//!
//! Which members are equally good is not decided here (`ranks`, `member::Rank`): one file a policy, and each sees a set of equals only.

mod alias;
mod p2c;
mod ranks;

use std::sync::Arc;

use fastrand::Rng;

use crate::member::{Member, Moment};

pub(crate) use p2c::TwoChoices;
pub(crate) use ranks::{May, Ranks};

/// How to choose, for any set of members.
pub(crate) trait Policy {
    type Picker: Picker;

    /// Prepares for these. Runs once a change, so that it may take its time.
    fn picker(&self, members: Vec<Arc<Member>>) -> Self::Picker;
}

/// How to choose, for one set of members.
pub(crate) trait Picker {
    /// One of those that may be taken; None only if there is none. Takes no lock and allocates nothing.
    fn pick<'a>(
        &'a self,
        draws: &mut Rng,
        now: Moment,
        may_take: impl FnMut(&'a Arc<Member>) -> bool,
    ) -> Option<&'a Arc<Member>>;
}

#[cfg(test)]
mod tests;
