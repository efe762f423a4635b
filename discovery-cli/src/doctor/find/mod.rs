//! Findings from facts: one file per area, each a pure function.

mod acl;
mod agent;
mod dns;
mod environment;
mod ports;
mod records;
#[cfg(test)]
mod tests;

pub(super) use ports::needed as needed_ports;

use super::{Facts, Finding};

/// All findings.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let areas: [fn(&Facts) -> Vec<Finding>; 6] =
        [environment::find, agent::find, acl::find, dns::find, records::find, ports::find];
    areas.iter().flat_map(|find| find(facts)).collect()
}
