//! What must hold for a watch whatever an agent answers, and when.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    error::Kind,
    watch::pace::{BACKOFF_MAX, BURST, REFILL},
};

/// What the agent does with a question, after how many milliseconds.
#[derive(Debug, Clone)]
enum Outcome {
    Fails,
    Answers { index: Option<u64>, last_contact: u64, ttl: u64 },
}

/// One thing that a run did, and when.
#[derive(Debug)]
enum Did {
    Asked(Option<(u64, Duration)>),
    Failed,
    Published { index: Option<u64>, snapshot: Snapshot, mark: u16 },
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let index = option::weighted(0.9, prop_oneof![4 => 0..6u64, 1 => any::<u64>()]);
    prop_oneof![
        1 => Just(Outcome::Fails),
        4 => (index, 0..5_000u64, 0..100u64)
            .prop_map(|(index, last_contact, ttl)| Outcome::Answers { index, last_contact, ttl }),
    ]
}

fn outcomes() -> impl Strategy<Value = Vec<(u64, Outcome, f64)>> {
    let millis = prop_oneof![3 => 0..3u64, 1 => 0..40_000u64];
    vec((millis, outcome(), 0.0..1.0), 0..60)
}

/// Runs a watch against an agent that does this, in no time. Instance lists are told apart by the port of their one instance.
fn run(outcomes: &[(u64, Outcome, f64)]) -> Vec<(Instant, Did)> {
    let (mut now, mut event, mut did) = (Instant::now(), Event::Due, Vec::new());
    let mut machine = Machine::new(Origin::Catalog, now);
    let mut outcomes = (1..).zip(outcomes);
    let (mut mark, mut index_sent, mut draw) = (0, None, 0.5);
    loop {
        let step = machine.step(event, now, draw);
        match step.tell {
            None => {}
            Some(Tell::Report(_)) => did.push((now, Did::Failed)),
            Some(Tell::Publish(snapshot)) => {
                did.push((now, Did::Published { index: index_sent, snapshot, mark }));
            }
        }
        event = match step.next {
            Next::SleepUntil(at) => {
                assert!(at > now, "a sleep that is none makes a busy loop");
                now = at;
                Event::Due
            }
            Next::Ask(after) => {
                did.push((now, Did::Asked(after)));
                let Some((count, (millis, outcome, drawn))) = outcomes.next() else { return did };
                (mark, draw) = (count, *drawn);
                now += Duration::from_millis(*millis);
                match outcome {
                    Outcome::Fails => Event::Failed(Error::new(Kind::Timeout, "too late")),
                    Outcome::Answers { index, last_contact, ttl } => {
                        index_sent = *index;
                        Event::Answered(reply(*index, mark, *last_contact, *ttl))
                    }
                }
            }
        };
    }
}

fn reply(index: Option<u64>, port: u16, last_contact: u64, ttl: u64) -> Reply {
    Reply {
        instances: vec![Instance::at("web", "10.0.0.1".into(), port)],
        index,
        last_contact: Duration::from_millis(last_contact),
        ttl: Duration::from_secs(ttl),
    }
}

fn questions(did: &[(Instant, Did)]) -> Vec<Instant> {
    did.iter().filter(|(_, did)| matches!(did, Did::Asked(_))).map(|(at, _)| *at).collect()
}

proptest! {
    #[test]
    fn no_answer_makes_a_busy_loop(outcomes in outcomes()) {
        let asked_at = questions(&run(&outcomes));
        for (first, from) in asked_at.iter().enumerate() {
            for (last, to) in asked_at.iter().enumerate().skip(first) {
                let allowed = BURST as usize + ((*to - *from).as_millis() / REFILL.as_millis()) as usize;
                prop_assert!(last - first < allowed, "{} questions in {:?}", last - first + 1, *to - *from);
            }
        }
    }

    #[test]
    fn an_index_is_sent_only_right_after_its_answer_and_waits_no_longer_than_its_watch_lived(outcomes in outcomes()) {
        let (mut known, mut asked) = (None, None);
        let did = run(&outcomes);
        let start = did[0].0;
        for (now, did) in did {
            match did {
                Did::Failed => known = None,
                Did::Published { index, .. } => {
                    let answered = index.map(|index| index.max(1));
                    known = if answered < asked { None } else { answered };
                }
                Did::Asked(after) => {
                    asked = after.map(|(index, _)| index);
                    prop_assert_eq!(asked, known);
                    if let Some((_, wait)) = after {
                        let longest = (now - start).clamp(WAIT_MIN, WAIT_MAX);
                        prop_assert!((longest..=longest.mul_f64(1.0 + WAIT_JITTER)).contains(&wait));
                    }
                }
            }
        }
    }

    #[test]
    fn a_snapshot_is_one_answer_and_no_mixture(outcomes in outcomes()) {
        for (_, did) in run(&outcomes) {
            if let Did::Published { index, snapshot, mark } = did {
                prop_assert_eq!(snapshot.index, index.unwrap_or(0));
                prop_assert_eq!(snapshot.instances.len(), 1);
                prop_assert_eq!(snapshot.instances[0].port, mark);
            }
        }
    }

    #[test]
    fn no_snapshot_is_from_the_future_or_younger_than_its_question(outcomes in outcomes()) {
        let mut sent_at = None;
        for (now, did) in run(&outcomes) {
            match did {
                Did::Asked(_) => sent_at = Some(now),
                Did::Failed => {}
                Did::Published { snapshot, .. } => {
                    prop_assert!(snapshot.as_of <= now);
                    prop_assert!(Some(snapshot.as_of + Duration::from_secs(5)) >= sent_at);
                }
            }
        }
    }

    #[test]
    fn a_watch_asks_again_soon_whatever_failed(outcomes in outcomes()) {
        let did = run(&outcomes);
        for pair in did.windows(2) {
            if let [(failed_at, Did::Failed), (asked_at, Did::Asked(_))] = pair {
                prop_assert!(*asked_at - *failed_at <= BACKOFF_MAX);
            }
        }
    }
}

/// The questions and snapshots of a run, in milliseconds from its start: `(asked or published at, what)`.
fn told(outcomes: &[(u64, Outcome, f64)]) -> Vec<(u128, String)> {
    let did = run(outcomes);
    let start = did[0].0;
    let since = |at: Instant| (at - start).as_millis();
    did.iter()
        .map(|(at, did)| {
            let what = match did {
                Did::Asked(None) => "ask".into(),
                Did::Asked(Some((index, wait))) => format!("ask after {index} for {wait:?}"),
                Did::Failed => "fail".into(),
                Did::Published { snapshot, .. } => {
                    format!("{} as of {}", snapshot.index, since(snapshot.as_of))
                }
            };
            (since(*at), what)
        })
        .collect()
}

#[track_caller]
fn check(outcomes: &[(u64, Outcome)], expected: &[(u128, &str)]) {
    let outcomes: Vec<_> =
        outcomes.iter().map(|(millis, outcome)| (*millis, outcome.clone(), 0.0)).collect();
    let told = told(&outcomes);
    let told: Vec<_> = told.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(told, expected);
}

fn answer(index: u64) -> Outcome {
    Outcome::Answers { index: Some(index), last_contact: 0, ttl: 0 }
}

#[test]
fn changes_are_followed_as_they_come() {
    check(
        &[(5, answer(7)), (400, answer(8)), (400, answer(9))],
        &[
            (0, "ask"),
            (5, "7 as of 5"),
            (5, "ask after 7 for 1s"),
            (405, "8 as of 405"),
            (405, "ask after 8 for 1s"),
            (805, "9 as of 805"),
            (805, "ask after 9 for 1s"),
        ],
    );
}

#[test]
fn an_answer_that_ran_into_its_wait_is_as_old_as_its_question() {
    let quiet = Outcome::Answers { index: Some(7), last_contact: 3, ttl: 0 };
    check(
        &[(5, answer(7)), (31_000, quiet)],
        &[
            (0, "ask"),
            (5, "7 as of 5"),
            (5, "ask after 7 for 1s"),
            (31_005, "7 as of 2"),
            (31_005, "ask after 7 for 30s"),
        ],
    );
}

#[test]
fn an_agent_that_does_not_wait_is_polled() {
    check(
        &[(5, answer(7)), (1, answer(7)), (1, answer(7))],
        &[
            (0, "ask"),
            (5, "7 as of 5"),
            (5, "ask after 7 for 1s"),
            (6, "7 as of 5"),
            (1005, "ask after 7 for 1.005s"),
            (1006, "7 as of 1005"),
            (2005, "ask after 7 for 2.005s"),
        ],
    );
}

#[test]
fn an_index_that_went_backwards_starts_over() {
    check(
        &[(5, answer(7)), (500, answer(3)), (5, answer(3))],
        &[
            (0, "ask"),
            (5, "7 as of 5"),
            (5, "ask after 7 for 1s"),
            (505, "3 as of 5"),
            (505, "ask"),
            (510, "3 as of 510"),
            (510, "ask after 3 for 1s"),
        ],
    );
}

#[test]
fn failures_back_off_and_forget_the_index() {
    check(
        &[(5, answer(7)), (500, Outcome::Fails), (0, Outcome::Fails), (0, answer(7))],
        &[
            (0, "ask"),
            (5, "7 as of 5"),
            (5, "ask after 7 for 1s"),
            (505, "fail"),
            (555, "ask"),
            (555, "fail"),
            (655, "ask"),
            (655, "7 as of 655"),
            (655, "ask after 7 for 1s"),
        ],
    );
}

#[test]
fn answers_without_an_index_are_polled_within_bounds() {
    let dns = |ttl| Outcome::Answers { index: None, last_contact: 0, ttl };
    check(
        &[(5, dns(0)), (5, dns(4)), (5, dns(3600)), (5, dns(0))],
        &[
            (0, "ask"),
            (5, "0 as of 5"),
            (1000, "ask"),
            (1005, "0 as of 1005"),
            (5000, "ask"),
            (5005, "0 as of 5005"),
            (35_000, "ask"),
            (35_005, "0 as of 35005"),
            (36_000, "ask"),
        ],
    );
}
