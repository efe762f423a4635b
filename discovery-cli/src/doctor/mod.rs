//! What usually goes wrong around Consul: `gather` collects facts, `find` derives findings from them (pure), `page` prints them.

mod facts;
mod find;
mod finding;
mod gather;
mod page;

pub(crate) use finding::Finding;
pub(crate) use gather::gather;
pub(crate) use page::{as_json, as_text};

/// What one run has gathered.
pub(crate) use facts::Facts;

/// All findings, in the order in which they are best fixed: without an agent, the others are consequences.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    find::all(facts)
}
