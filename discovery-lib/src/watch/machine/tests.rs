//! Properties of a watch for any sequence of answers and delays.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    error::Kind,
    watch::pace::{BACKOFF_MAX, BURST, REFILL},
};

/// The agent's reaction to a query, after a number of milliseconds.
#[derive(Debug, Clone)]
enum Reaction {
    Fails,
    Answers { index: Option<u64>, last_contact: u64, ttl: u64 },
}

/// One effect of a run.
#[derive(Debug)]
enum Effect {
    Asked(Option<(u64, Duration)>),
    Failed,
    Published { index: Option<u64>, snapshot: Snapshot, mark: u16 },
}

fn reaction() -> impl Strategy<Value = Reaction> {
    let index = option::weighted(0.9, prop_oneof![4 => 0..6u64, 1 => any::<u64>()]);
    prop_oneof![
        1 => Just(Reaction::Fails),
        4 => (index, 0..5_000u64, 0..100u64)
            .prop_map(|(index, last_contact, ttl)| Reaction::Answers { index, last_contact, ttl }),
    ]
}

fn reactions() -> impl Strategy<Value = Vec<(u64, Reaction, f64)>> {
    let millis = prop_oneof![3 => 0..3u64, 1 => 0..40_000u64];
    vec((millis, reaction(), 0.0..1.0), 0..60)
}

/// Runs a watch against an agent that reacts like this, without waiting. The port of its one instance identifies an answer.
fn run(reactions: &[(u64, Reaction, f64)]) -> Vec<(Instant, Effect)> {
    let (mut now, mut event, mut did) = (Instant::now(), Event::Due, Vec::new());
    let mut machine = Machine::new(now);
    let mut reactions = (1..).zip(reactions);
    let (mut mark, mut index_sent, mut draw) = (0, None, 0.5);
    loop {
        let step = machine.step(event, now, draw);
        match step.notice {
            None => {}
            Some(Notice::Failure(_)) => did.push((now, Effect::Failed)),
            Some(Notice::Answer(snapshot)) => {
                did.push((now, Effect::Published { index: index_sent, snapshot, mark }));
            }
        }
        event = match step.next {
            Next::SleepUntil(at) => {
                assert!(at > now, "a sleep of no length is a busy loop");
                now = at;
                Event::Due
            }
            Next::Ask(after) => {
                did.push((now, Effect::Asked(after)));
                let Some((count, (millis, reaction, drawn))) = reactions.next() else { return did };
                (mark, draw) = (count, *drawn);
                now += Duration::from_millis(*millis);
                match reaction {
                    Reaction::Fails => Event::Failed(Error::new(Kind::Timeout, "too late")),
                    Reaction::Answers { index, last_contact, ttl } => {
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
        origin: Origin::Catalog,
        instances: vec![Arc::new(Instance::at("web", "10.0.0.1".into(), port))],
        index,
        last_contact: Duration::from_millis(last_contact),
        ttl: Duration::from_secs(ttl),
        remarks: Remarks::default(),
    }
}

fn queries(did: &[(Instant, Effect)]) -> Vec<Instant> {
    did.iter().filter(|(_, did)| matches!(did, Effect::Asked(_))).map(|(at, _)| *at).collect()
}

proptest! {
    #[test]
    fn no_answer_makes_a_busy_loop(reactions in reactions()) {
        let asked_at = queries(&run(&reactions));
        for (first, from) in asked_at.iter().enumerate() {
            for (last, to) in asked_at.iter().enumerate().skip(first) {
                let allowed = BURST as usize + ((*to - *from).as_millis() / REFILL.as_millis()) as usize;
                prop_assert!(last - first < allowed, "{} queries in {:?}", last - first + 1, *to - *from);
            }
        }
    }

    #[test]
    fn an_index_is_sent_only_after_its_answer_and_waits_no_longer_than_the_watch_exists(reactions in reactions()) {
        let (mut known, mut asked) = (None, None);
        let did = run(&reactions);
        let start = did[0].0;
        for (now, did) in did {
            match did {
                Effect::Failed => known = None,
                Effect::Published { index, .. } => {
                    let answered = index.map(|index| index.max(1));
                    known = if answered < asked { None } else { answered };
                }
                Effect::Asked(after) => {
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
    fn a_snapshot_is_one_answer(reactions in reactions()) {
        for (_, did) in run(&reactions) {
            if let Effect::Published { index, snapshot, mark } = did {
                prop_assert_eq!(snapshot.index, index.unwrap_or(0));
                prop_assert_eq!(snapshot.instances.len(), 1);
                prop_assert_eq!(snapshot.instances[0].port, mark);
            }
        }
    }

    #[test]
    fn no_snapshot_is_from_the_future_or_younger_than_its_query(reactions in reactions()) {
        let mut sent_at = None;
        for (now, did) in run(&reactions) {
            match did {
                Effect::Asked(_) => sent_at = Some(now),
                Effect::Failed => {}
                Effect::Published { snapshot, .. } => {
                    prop_assert!(snapshot.as_of <= now);
                    prop_assert!(Some(snapshot.as_of + Duration::from_secs(5)) >= sent_at);
                }
            }
        }
    }

    #[test]
    fn a_watch_asks_again_soon_after_any_failure(reactions in reactions()) {
        let did = run(&reactions);
        for pair in did.windows(2) {
            if let [(failed_at, Effect::Failed), (asked_at, Effect::Asked(_))] = pair {
                prop_assert!(*asked_at - *failed_at <= BACKOFF_MAX);
            }
        }
    }
}

#[test]
fn an_answer_is_as_old_as_its_server_says_even_if_no_instant_is_that_old() {
    let now = Instant::now();
    for last_contact in [Duration::ZERO, Duration::from_secs(60), Duration::MAX] {
        let reply = Reply { last_contact, ..reply(Some(7), 80, 0, 0) };
        assert_eq!(reply.into_snapshot(now).age(now), last_contact);
    }
}

/// The queries and snapshots of a run, in milliseconds from its start: `(sent or published at, what)`.
fn effects(reactions: &[(u64, Reaction, f64)]) -> Vec<(u128, String)> {
    let did = run(reactions);
    let start = did[0].0;
    let since = |at: Instant| (at - start).as_millis();
    did.iter()
        .map(|(at, did)| {
            let what = match did {
                Effect::Asked(None) => "ask".into(),
                Effect::Asked(Some((index, wait))) => format!("ask after {index} for {wait:?}"),
                Effect::Failed => "fail".into(),
                Effect::Published { snapshot, .. } => {
                    format!("{} as of {}", snapshot.index, since(snapshot.as_of))
                }
            };
            (since(*at), what)
        })
        .collect()
}

#[track_caller]
fn check(reactions: &[(u64, Reaction)], expected: &[(u128, &str)]) {
    let reactions: Vec<_> =
        reactions.iter().map(|(millis, reaction)| (*millis, reaction.clone(), 0.0)).collect();
    let effects = effects(&reactions);
    let effects: Vec<_> = effects.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(effects, expected);
}

fn answer(index: u64) -> Reaction {
    Reaction::Answers { index: Some(index), last_contact: 0, ttl: 0 }
}

#[test]
fn each_change_is_followed_at_once() {
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
fn an_answer_whose_wait_ended_is_as_old_as_its_query() {
    let quiet = Reaction::Answers { index: Some(7), last_contact: 3, ttl: 0 };
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
fn failures_back_off_and_reset_the_index() {
    check(
        &[(5, answer(7)), (500, Reaction::Fails), (0, Reaction::Fails), (0, answer(7))],
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
    let dns = |ttl| Reaction::Answers { index: None, last_contact: 0, ttl };
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
