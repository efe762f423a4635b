//! What changes from one list of routes to another. Pure.

use super::Route;

/// How the routes of a new configuration come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diff {
    /// One per new route, in order.
    pub(crate) steps: Vec<Step>,
    /// The old routes that are no more, by number.
    pub(crate) removed: Vec<usize>,
}

/// How one new route comes about. The numbers are those of old routes; each is used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The old one, unchanged.
    Keep(usize),
    /// The sockets of the old one, with another service or other options.
    Change(usize),
    /// New sockets.
    Add,
}

impl Diff {
    pub(crate) fn between<'a>(
        old: impl IntoIterator<Item = &'a Route>,
        new: impl IntoIterator<Item = &'a Route>,
    ) -> Self {
        let mut rest: Vec<(usize, &Route)> = old.into_iter().enumerate().collect();
        let steps = new.into_iter().map(|route| {
            // With port 0 several may listen alike: the same one first.
            let same = rest.iter().position(|(_, old)| *old == route);
            let Some(at) = same.or_else(|| rest.iter().position(|(_, old)| is_kept(old, route)))
            else {
                return Step::Add;
            };
            let (number, old) = rest.remove(at);
            if old == route { Step::Keep(number) } else { Step::Change(number) }
        });
        let steps = steps.collect();
        Self { steps, removed: rest.into_iter().map(|(number, _)| number).collect() }
    }
}

fn is_kept(old: &Route, new: &Route) -> bool {
    old.listen == new.listen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn routes() -> impl Strategy<Value = Vec<Route>> {
        let listen = prop_oneof![
            4 => (1..9_u8).prop_map(|port| port.to_string()),
            1 => Just("0".to_owned()),
            1 => Just("./a.sock".to_owned()),
            1 => Just("udp:53".to_owned()),
        ];
        let route =
            (listen, prop_oneof!["a", "b"], any::<bool>()).prop_map(|(listen, to, sticky)| {
                let mut route: Route = format!("{listen}={to}").parse().unwrap();
                route.options.sticky = sticky;
                route
            });
        prop::collection::vec(route, 0..8).prop_map(|routes| {
            let mut seen = BTreeSet::new();
            let is_first = |route: &Route| {
                let listen = route.listen.to_string();
                listen.ends_with(":0") || seen.insert(listen)
            };
            routes.into_iter().filter(is_first).collect()
        })
    }

    fn used(diff: &Diff) -> Vec<usize> {
        let of_step = |step: &Step| match *step {
            Step::Keep(number) | Step::Change(number) => Some(number),
            Step::Add => None,
        };
        let mut all: Vec<_> = diff.steps.iter().filter_map(of_step).collect();
        all.extend(&diff.removed);
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn each_old_route_is_used_once_or_removed(old in routes(), new in routes()) {
            let diff = Diff::between(&old, &new);
            prop_assert_eq!(used(&diff), (0..old.len()).collect::<Vec<_>>());
            prop_assert_eq!(diff.steps.len(), new.len());
            for (step, route) in diff.steps.iter().zip(&new) {
                match *step {
                    Step::Keep(number) => prop_assert_eq!(&old[number], route),
                    Step::Change(number) => {
                        prop_assert_eq!(&old[number].listen, &route.listen);
                        prop_assert_ne!(&old[number], route);
                    }
                    // No socket is closed and bound again.
                    Step::Add => prop_assert!(diff.removed.iter().all(|it| old[*it].listen != route.listen)),
                }
            }
        }

        #[test]
        fn the_same_routes_are_kept_in_any_order(routes in routes(), seed: u64) {
            let mut shuffled = routes.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            let diff = Diff::between(&routes, &shuffled);
            let is_kept = diff.steps.iter().all(|step| matches!(step, Step::Keep(_)));
            prop_assert!(is_kept, "{diff:?}");
            prop_assert!(diff.removed.is_empty());
        }
    }
}
