//! What is published before the first answer, for any order of events.

use proptest::{collection::vec, prelude::*};
use tokio::time::Instant;

use super::*;
use crate::{Instance, Origin, error::Kind};

/// An event, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Failed,
    Answered,
    Late,
    Found,
    NothingFound,
}
use What::{Answered, Failed, Found, Late, NothingFound};

fn snapshot(origin: Origin) -> Snapshot {
    let instance = Instance::at("web", "10.0.0.1".into(), 80);
    Snapshot::new([instance.into()], origin, Instant::now())
}

fn event(what: What) -> Event {
    let error = |text| Error::new(Kind::Timeout, text);
    match what {
        Failed => Event::Notice(Notice::Failure(error("failed"))),
        Answered => Event::Notice(Notice::Answer(snapshot(Origin::Catalog))),
        Late => Event::Late(error("late")),
        Found => Event::Read(Some(snapshot(Origin::Disk))),
        NothingFound => Event::Read(None),
    }
}

/// What each of these events publishes: `-` for nothing.
fn run(events: &[What]) -> Vec<String> {
    let mut opening = Opening::new();
    let show = |publication| match publication {
        None => "-".to_owned(),
        Some(Publication::Notice(Notice::Failure(error))) => error.to_string(),
        Some(Publication::Notice(Notice::Answer(_))) => "answered".to_owned(),
        Some(Publication::Recalled(_, error)) => format!("recalled, {error}"),
    };
    events.iter().map(|what| show(opening.step(event(*what)))).collect()
}

#[test]
fn the_snapshot_from_disk_stands_in_for_an_answer_that_is_missing() {
    for (events, expected) in [
        // With a file.
        (&[Found, Answered, Failed][..], &["-", "answered", "failed"][..]),
        (&[Found, Failed, Failed], &["-", "recalled, failed", "failed"]),
        (&[Failed, Found, Failed], &["-", "recalled, failed", "failed"]),
        (&[Failed, Found, Answered], &["-", "recalled, failed", "answered"]),
        (&[Found, Late, Failed], &["-", "recalled, late", "failed"]),
        (&[Late, Found, Failed], &["-", "recalled, late", "failed"]),
        (&[Found, Late, Answered], &["-", "recalled, late", "answered"]),
        // The answer is faster than the file.
        (&[Answered, Found, Late, Failed], &["answered", "-", "-", "failed"]),
        (&[Failed, Answered, Found, Late], &["-", "answered", "-", "-"]),
        // The file is slow.
        (&[Failed, Late, Failed, Found], &["-", "failed", "failed", "recalled, failed"]),
        (&[Late, Failed, Found], &["-", "failed", "recalled, failed"]),
        (&[Failed, Late, NothingFound, Failed], &["-", "failed", "-", "failed"]),
        // Without a file it is as without a directory.
        (&[NothingFound, Failed, Late, Answered], &["-", "failed", "-", "answered"]),
        (&[Failed, NothingFound, Failed], &["-", "failed", "failed"]),
        (&[NothingFound, Late, Failed], &["-", "-", "failed"]),
        (&[Late, NothingFound, Failed], &["-", "-", "failed"]),
    ] {
        assert_eq!(run(events), expected, "{events:?}");
    }
}

/// Failures and answers, and each once: the end of the time, and of the read.
fn any_order() -> impl Strategy<Value = Vec<What>> {
    let notices = vec(prop_oneof![3 => Just(Failed), 1 => Just(Answered)], 0..8);
    (notices, prop_oneof![Just(Found), Just(NothingFound)], 0..9usize, 0..10usize).prop_map(
        |(mut events, read, late_at, read_at)| {
            events.insert(late_at.min(events.len()), Late);
            events.insert(read_at.min(events.len()), read);
            events
        },
    )
}

proptest! {
    #[test]
    fn the_disk_is_used_once_and_never_after_an_answer(events in any_order()) {
        let published = run(&events);
        let recalled = |it: &String| it.starts_with("recalled");
        prop_assert!(published.iter().filter(|it| recalled(it)).count() <= 1);
        let answered = events.iter().position(|it| *it == Answered).unwrap_or(events.len());
        prop_assert!(!published[answered..].iter().any(recalled));
        let is_in_trouble = events[..answered].iter().any(|it| matches!(it, Failed | Late));
        let is_found = events[..answered].contains(&Found);
        prop_assert_eq!(published.iter().any(recalled), is_in_trouble && is_found);
    }

    #[test]
    fn each_answer_is_published_and_no_failure_is_lost(events in any_order()) {
        let published = run(&events);
        for (what, shown) in events.iter().zip(&published) {
            prop_assert_eq!(*what == Answered, shown == "answered");
        }
        let last_failed = events.iter().rposition(|it| *it == Failed);
        let last_answered = events.iter().rposition(|it| *it == Answered);
        if last_failed > last_answered {
            prop_assert!(published.iter().any(|it| it.ends_with("failed")));
        }
    }
}
