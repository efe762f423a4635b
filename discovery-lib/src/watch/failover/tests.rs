//! Rows of what is used and watched, and properties for any sequence of notices.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{Instance, Origin, error::Kind};

/// What a datacenter does.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// It answers with this many instances, of which the first ones pass.
    Has {
        passing: u16,
        all: u16,
    },
    Fails,
    /// Nothing, for this many milliseconds.
    Waits(u64),
}

use Does::{Fails, Has, Waits};

/// The mark of an answer is the port of its instances, or the index if it has none.
fn notice(does: Does, mark: u16, now: Instant) -> Option<Notice> {
    match does {
        Waits(_) => None,
        Fails => Some(Notice::Failure(Error::new(Kind::Timeout, format!("failure {mark}")))),
        Has { passing, all } => {
            let instances = (0..all).map(|nth| {
                let status = if nth < passing { Status::Passing } else { Status::Critical };
                let instance = Instance::at("web", "10.0.0.1".into(), 1 + nth);
                Arc::new(Instance { status, ..instance })
            });
            let snapshot = Snapshot::new(instances, Origin::Catalog, now);
            Some(Notice::Answer(Snapshot { index: mark.into(), ..snapshot }))
        }
    }
}

/// A run, and what it has published last.
struct Run {
    machine: Failover,
    now: Instant,
    mark: u16,
    watched: usize,
    again_at: Option<Instant>,
    /// The mark of the last answer, and the last failure since then.
    published: Option<u16>,
    failure: Option<String>,
}

impl Run {
    fn start(datacenters: usize, below: u8) -> Self {
        let now = Instant::now();
        let machine = Failover::new(datacenters, below, now);
        let (published, failure) = (None, None);
        let mut run =
            Self { machine, now, mark: 0, watched: 0, again_at: None, published, failure };
        run.step(Event::Due);
        run
    }

    fn step(&mut self, event: Event) {
        let step = self.machine.step(event, self.now);
        assert!(step.again_at.is_none_or(|at| at > self.now), "it is due at once again");
        (self.watched, self.again_at) = (step.watched, step.again_at);
        match step.publish {
            Some(Notice::Answer(snapshot)) => {
                self.published = Some(u16::try_from(snapshot.index).unwrap());
                self.failure = None;
            }
            Some(Notice::Failure(error)) => self.failure = Some(error.to_string()),
            None => {}
        }
    }

    fn does(&mut self, site: usize, does: Does) {
        self.mark += 1;
        match notice(does, self.mark, self.now) {
            Some(notice) => self.step(Event::Noticed(site, notice)),
            None => {
                let Waits(millis) = does else { unreachable!("only that has no notice") };
                let until = self.now + Duration::from_millis(millis);
                while let Some(at) = self.again_at.filter(|at| *at <= until) {
                    self.now = at;
                    self.step(Event::Due);
                }
                self.now = until;
            }
        }
    }
}

/// What happens in three datacenters, and after each the one that is used and the number of those that are watched.
#[track_caller]
fn check(below: u8, rows: &[(usize, Does, Option<usize>, usize)]) -> Run {
    let mut run = Run::start(3, below);
    assert_eq!((run.machine.used(), run.watched), (None, 1));
    for (nth, (site, does, used, watched)) in rows.iter().enumerate() {
        run.does(*site, *does);
        assert_eq!((run.machine.used(), run.watched), (*used, *watched), "row {nth}: {does:?}");
    }
    run
}

const ALL: Does = Has { passing: 2, all: 2 };
const HALF: Does = Has { passing: 1, all: 2 };
const NONE: Does = Has { passing: 0, all: 2 };
const EMPTY: Does = Has { passing: 0, all: 0 };

#[test]
fn a_datacenter_that_has_enough_is_the_only_one_that_is_watched() {
    check(0, &[(0, HALF, Some(0), 1), (0, Waits(60_000), Some(0), 1)]);
}

#[test]
fn without_a_passing_instance_the_next_datacenter_is_used_until_there_is_one() {
    for none in [NONE, EMPTY] {
        check(
            0,
            &[
                (0, ALL, Some(0), 1),
                (0, none, Some(0), 2),
                (1, HALF, Some(1), 2),
                (1, none, Some(1), 3),
                (2, ALL, Some(2), 3),
                (1, HALF, Some(1), 2),
                (0, HALF, Some(0), 1),
            ],
        );
    }
}

#[test]
fn the_share_that_must_pass_counts_too() {
    let third = Has { passing: 1, all: 3 };
    check(50, &[(0, HALF, Some(0), 1), (0, third, Some(0), 2), (1, HALF, Some(1), 2)]);
    check(100, &[(0, HALF, Some(0), 2), (1, ALL, Some(1), 2)]);
    check(100, &[(0, NONE, None, 2), (1, HALF, Some(1), 3), (2, HALF, Some(1), 3)]);
}

#[test]
fn while_none_has_enough_the_one_that_was_used_last_is_used() {
    let run = check(
        0,
        &[
            (0, ALL, Some(0), 1),
            (0, NONE, Some(0), 2),
            (1, EMPTY, Some(0), 3),
            (2, EMPTY, Some(0), 3),
            (0, EMPTY, Some(0), 3),
        ],
    );
    assert_eq!(run.published, Some(5));
}

#[test]
fn a_failure_counts_only_when_it_lasts() {
    let run = check(
        0,
        &[
            (0, ALL, Some(0), 1),
            (0, Fails, Some(0), 1),
            (0, Waits(5_000), Some(0), 1),
            (0, Fails, Some(0), 1),
            (0, Waits(4_999), Some(0), 1),
            (0, Waits(1), Some(0), 2),
            (1, ALL, Some(1), 2),
            (0, Fails, Some(1), 2),
        ],
    );
    assert_eq!((run.published, run.failure), (Some(7), None));
    check(
        0,
        &[
            (0, ALL, Some(0), 1),
            (0, Fails, Some(0), 1),
            (0, Waits(9_000), Some(0), 1),
            (0, ALL, Some(0), 1),
            (0, Waits(9_000), Some(0), 1),
        ],
    );
}

#[test]
fn one_without_an_answer_at_the_start_is_waited_for_until_it_is_slow_or_fails() {
    check(0, &[(0, Waits(999), None, 1), (0, ALL, Some(0), 1)]);
    check(0, &[(0, Waits(1_000), None, 2), (1, ALL, Some(1), 2), (0, ALL, Some(0), 1)]);
    check(0, &[(0, Fails, None, 2), (1, Waits(1_000), None, 3), (2, ALL, Some(2), 3)]);
}

#[test]
fn when_all_fail_at_the_start_the_failure_names_each() {
    let run = check(0, &[(0, Fails, None, 2), (1, Fails, None, 3), (2, Fails, None, 3)]);
    assert_eq!(run.failure.unwrap(), "failure 1; failure 2; failure 3");
    assert_eq!(run.published, None);
}

/// The last that is known of each datacenter, by another way than the machine's.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    mark: Option<u16>,
    has_enough: bool,
    failing_since: Option<Instant>,
    has_failed: bool,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        3 => (0..4u16, 0..4u16).prop_map(|(a, b)| Has { passing: a.min(b), all: a.max(b) }),
        2 => Just(Fails),
        2 => prop_oneof![0..2_000u64, 0..12_000u64].prop_map(Waits),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_first_datacenter_that_has_enough_is_used_and_its_last_answer_is_published(
        datacenters in 1..4usize,
        below in prop_oneof![Just(0u8), 0..=100u8],
        events in vec((0..4usize, does()), 0..60),
    ) {
        let mut run = Run::start(datacenters, below);
        let mut known = vec![Known::default(); datacenters];
        for (site, does) in events {
            let (site, before, watched) = (site % datacenters, run.machine.used(), run.watched);
            run.does(site, does);
            let (used, is_watched) = (run.machine.used(), site < watched);
            match does {
                Has { passing, all } if is_watched => {
                    let has_enough = passing > 0 && f64::from(passing) >= f64::from(all) * f64::from(below) / 100.0;
                    known[site] = Known { mark: Some(run.mark), has_enough, ..Known::default() };
                }
                Fails if is_watched => {
                    known[site].failing_since.get_or_insert(run.now);
                    known[site].has_failed = true;
                }
                _ => {}
            }
            known[run.watched..].fill(Known::default());
            let counts = |it: &Known| it.has_enough && it.failing_since.is_none_or(|since| run.now < since + PATIENCE);
            let first = known.iter().position(counts);
            prop_assert!(used >= before.map(|_| 0), "one was used, and none is");
            if let Some(first) = first {
                prop_assert!(used <= Some(first) || known[..first].iter().any(|it| it.mark.is_none() && !it.has_failed), "{first} has enough, and {used:?} is used");
                prop_assert!(used.is_none_or(|used| used >= first || !counts(&known[used]) || used == first));
            }
            if let Some(used) = used {
                prop_assert!(run.watched > used);
                prop_assert_eq!(run.published, known[used].mark, "the answer of another one, or an older one");
                if counts(&known[used]) && known[..used].iter().all(|it| !counts(it) && (it.mark.is_some() || it.has_failed)) {
                    prop_assert_eq!(run.watched, used + 1, "datacenters are watched for nothing");
                }
            } else {
                prop_assert_eq!(run.published, None);
            }
        }
    }
}
