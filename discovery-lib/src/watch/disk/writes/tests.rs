//! When snapshots are written, for any sequence of answers and results of writes.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::Instance;

/// What the watch publishes, some milliseconds after what was before.
#[derive(Debug, Clone, Copy)]
enum Published {
    /// Nothing new.
    Same,
    /// The same instances, as of now.
    Renewed,
    /// The instance with this port, as of now; port 0 for no instance.
    Answer(Origin, u16),
}

#[derive(Debug)]
struct Attempt {
    at: Instant,
    snapshot: Arc<Snapshot>,
    is_written: bool,
}

fn published() -> impl Strategy<Value = Published> {
    let origin = prop_oneof![
        6 => Just(Origin::Catalog),
        1 => Just(Origin::Dns),
        1 => Just(Origin::Fixed),
        1 => Just(Origin::Disk),
    ];
    prop_oneof![
        1 => Just(Published::Same),
        1 => Just(Published::Renewed),
        3 => (origin, 0..4u16).prop_map(|(origin, port)| Published::Answer(origin, port)),
    ]
}

fn run_of() -> impl Strategy<Value = Vec<(u64, Published, bool)>> {
    let millis = prop_oneof![3 => 0..2_000u64, 1 => 0..100_000u64];
    vec((millis, published(), prop::bool::weighted(0.8)), 0..40)
}

fn snapshot(origin: Origin, port: u16, as_of: Instant) -> Arc<Snapshot> {
    let instance = (port > 0).then(|| Arc::new(Instance::at("web", "10.0.0.1".into(), port)));
    Arc::new(Snapshot::new(instance, origin, as_of))
}

/// The attempts to write in a run, the last snapshot, and the end of the run. In the last minutes nothing changes and each write succeeds.
fn run(rows: &[(u64, Published, bool)]) -> (Vec<Attempt>, Option<Arc<Snapshot>>, Instant) {
    let (mut now, mut writes, mut attempts) = (Instant::now(), Writes::default(), Vec::new());
    let mut latest: Option<Arc<Snapshot>> = None;
    let quiet = [(300_000, Published::Same, true)];
    for (millis, published, succeeds) in rows.iter().chain(&quiet) {
        match (published, &latest) {
            (Published::Answer(origin, port), _) => latest = Some(snapshot(*origin, *port, now)),
            (Published::Renewed, Some(last)) => {
                latest = Some(Arc::new(Snapshot { as_of: now, ..Snapshot::clone(last) }));
            }
            (Published::Same | Published::Renewed, _) => {}
        }
        let until = now + Duration::from_millis(*millis);
        loop {
            match writes.next(latest.as_ref(), now) {
                Next::Wait => break,
                Next::SleepUntil(at) => {
                    assert!(at > now, "a sleep of no length is a busy loop");
                    if at > until {
                        break;
                    }
                    now = at;
                }
                Next::Write(snapshot) => {
                    attempts.push(Attempt {
                        at: now,
                        snapshot: snapshot.clone(),
                        is_written: *succeeds,
                    });
                    match succeeds {
                        true => writes.written(snapshot, now),
                        false => writes.failed(now),
                    };
                }
            }
        }
        now = until;
    }
    (attempts, latest, now)
}

proptest! {
    #[test]
    fn writes_keep_their_intervals(rows in run_of()) {
        let (attempts, ..) = run(&rows);
        for pair in attempts.windows(2) {
            let [first, next] = pair else { unreachable!() };
            let apart = next.at - first.at;
            let least = if first.is_written { INTERVAL } else { RETRY };
            prop_assert!(apart >= least);
            if first.is_written && first.snapshot.instances == next.snapshot.instances {
                prop_assert!(apart >= REFRESH && next.snapshot.as_of > first.snapshot.as_of);
            }
        }
    }

    #[test]
    fn only_answers_of_consul_are_written(rows in run_of()) {
        for attempt in run(&rows).0 {
            prop_assert!(matches!(attempt.snapshot.origin, Origin::Catalog | Origin::Dns));
        }
    }

    #[test]
    fn in_the_end_the_last_answer_is_written_as_it_is(rows in run_of()) {
        let (attempts, latest, _) = run(&rows);
        if let Some(latest) = latest.filter(|latest| is_of_consul(latest.origin)) {
            let last = attempts.last().expect("a write");
            prop_assert!(last.is_written);
            prop_assert_eq!(&last.snapshot.instances, &latest.instances);
            if !latest.instances.is_empty() {
                prop_assert_eq!(last.snapshot.as_of, latest.as_of);
            }
        }
    }

    #[test]
    fn only_one_failure_of_a_run_is_reported(results in vec(any::<bool>(), 0..20)) {
        let (mut writes, now, mut is_failing) = (Writes::default(), Instant::now(), false);
        for succeeds in results {
            let is_reported = match succeeds {
                true => writes.written(snapshot(Origin::Catalog, 1, now), now),
                false => writes.failed(now),
            };
            prop_assert_eq!(is_reported, is_failing == succeeds);
            is_failing = !succeeds;
        }
    }
}

/// The writes of a run, in seconds from its start: `(at, port)`.
#[track_caller]
fn check(rows: &[(u64, Published, bool)], expected: &[(u64, u16)]) {
    let rows: Vec<_> = rows.iter().map(|(seconds, it, ok)| (seconds * 1000, *it, *ok)).collect();
    let start = Instant::now();
    let (attempts, ..) = run(&rows);
    let port = |snapshot: &Snapshot| snapshot.instances.first().map_or(0, |it| it.port);
    let attempts: Vec<_> =
        attempts.iter().map(|it| ((it.at - start).as_secs(), port(&it.snapshot))).collect();
    assert_eq!(attempts, expected);
}

#[test]
fn a_change_is_written_at_once_and_the_next_one_a_second_later() {
    let web = |port| Published::Answer(Origin::Catalog, port);
    check(&[(0, web(1), true), (0, web(2), true), (5, web(3), true)], &[(0, 1), (1, 3)]);
}

#[test]
fn an_answer_that_stays_the_same_is_renewed_each_minute() {
    let (web, renewed) = (Published::Answer(Origin::Catalog, 1), Published::Renewed);
    let rows = [(30, web, true), (30, renewed, true), (30, renewed, true), (30, renewed, true)];
    check(&rows, &[(0, 1), (60, 1), (120, 1)]);
}

#[test]
fn an_empty_answer_is_written_only_after_it_lasted() {
    let web = |port| Published::Answer(Origin::Catalog, port);
    check(&[(30, web(1), true), (59, web(0), true), (9, web(1), true)], &[(0, 1), (89, 1)]);
    check(
        &[(30, web(1), true), (61, web(0), true), (9, web(1), true)],
        &[(0, 1), (90, 0), (91, 1)],
    );
}

#[test]
fn a_write_that_failed_is_repeated_after_a_pause() {
    let web = |port| Published::Answer(Origin::Catalog, port);
    let rows = [(4, web(1), false), (4, web(2), false), (4, Published::Same, true)];
    check(&rows, &[(0, 1), (10, 2)]);
}
