//! Changes from one full answer to the next. Pure.

use std::{collections::BTreeMap, sync::Arc};

use discovery::{Host, Instance, ServiceId};

/// One instance that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Added(Arc<Instance>),
    Removed(Arc<Instance>),
    /// Before, now.
    Changed(Arc<Instance>, Arc<Instance>),
}

/// The changes from one answer to the next, sorted by address.
pub(crate) fn changes(before: &[Arc<Instance>], now: &[Arc<Instance>]) -> Vec<Change> {
    let (mut old, new) = (by_key(before), by_key(now));
    let mut changes = Vec::new();
    for (key, seen) in new {
        match old.remove(&key) {
            None => changes.push((key, Change::Added(seen.clone()))),
            Some(was) if was != seen => {
                changes.push((key, Change::Changed(was.clone(), seen.clone())))
            }
            Some(_) => {}
        }
    }
    changes.extend(old.into_iter().map(|(key, was)| (key, Change::Removed(was.clone()))));
    changes.sort_by_key(|(key, _)| *key);
    changes.into_iter().map(|(_, change)| change).collect()
}

/// Address and id: an instance that moved is removed at the old address and added at the new one.
type Key<'a> = (&'a Host, u16, &'a str, &'a ServiceId);

fn by_key(instances: &[Arc<Instance>]) -> BTreeMap<Key<'_>, &Arc<Instance>> {
    instances.iter().map(|seen| ((&seen.host, seen.port, &*seen.node, &seen.id), seen)).collect()
}

#[cfg(test)]
mod tests {
    use discovery::Status;

    use super::*;

    fn at(port: u16, status: Status) -> Arc<Instance> {
        Arc::new(Instance::at("web", "10.0.0.1".into(), port).status(status))
    }

    #[test]
    fn only_differences_are_listed() {
        let [one, two, three] = [1, 2, 3].map(|port| at(port, Status::Passing));
        let ill = at(2, Status::Critical);
        assert_eq!(changes(&[], &[]), []);
        assert_eq!(changes(std::slice::from_ref(&one), std::slice::from_ref(&one)), []);
        assert_eq!(
            changes(&[one.clone(), two.clone()], &[ill.clone(), three.clone()]),
            [Change::Removed(one), Change::Changed(two, ill), Change::Added(three)]
        );
    }
}
