//! Properties, each over random histories.

use std::{collections::BTreeMap, time::Duration};

use consul_wire::check::CheckStatus;
use proptest::prelude::*;
use tokio::time::Instant;

use super::script::{CHECKS, Event, IDS, NAMES, command, identity, story};
use crate::state::{CheckKind, Command, Effects, State, Topic};

/// Histories per property. Each compares every answer after every step, so a few cover much.
const CASES: u32 = 64;

/// Every topic, with its encoded answer.
fn answers(state: &State) -> BTreeMap<Topic, String> {
    fn text(answer: &impl serde::Serialize) -> String {
        serde_json::to_string(answer).unwrap()
    }
    let statuses = [CheckStatus::Passing, CheckStatus::Warning, CheckStatus::Critical];
    let mut answers = BTreeMap::from([
        (Topic::Nodes, text(state.node())),
        (Topic::Services, text(&state.catalog_services())),
        (Topic::Node, text(&state.catalog_node())),
        (Topic::NodeChecks, text(&state.health_node())),
        (Topic::AnyStatus, text(&state.health_node())),
        (Topic::Nothing, String::new()),
    ]);
    answers.extend(statuses.map(|it| (Topic::Status(it), text(&state.health_state(it)))));
    answers.extend(IDS.map(|id| (Topic::Agent(id.to_owned()), text(&state.agent_service(id)))));
    for name in NAMES.into_iter().chain(["consul", "nobody"]) {
        let key = name.to_ascii_lowercase();
        answers.extend([
            (Topic::Instances(key.clone()), text(&state.catalog_service(name, &[]))),
            (Topic::Health(key.clone()), text(&state.health_service(name, &[], false))),
            (Topic::Checks(key), text(&state.health_checks(name))),
        ]);
    }
    answers
}

/// An instance on its agent has a hash instead of an index.
fn has_index(topic: &Topic) -> bool {
    !matches!(topic, Topic::Agent(_))
}

/// Applies a history to a state, step by step.
fn replay(story: Vec<Event>, mut step: impl FnMut(&State, &State, &Effects)) -> (State, Instant) {
    let mut now = Instant::now();
    let mut state = State::new(&identity());
    for event in story {
        let before = state.clone();
        let effects = match event {
            Event::Command(command) => state.apply(*command, now).unwrap_or_default(),
            Event::Pass(time) => {
                now += time;
                state.expire(now)
            }
        };
        step(&before, &state, &effects);
    }
    (state, now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn no_index_decreases(story in story()) {
        replay(story, |before, after, _| {
            assert!(after.index() >= before.index());
            for topic in answers(after).keys().filter(|topic| has_index(topic)) {
                assert!(after.index_of(topic) >= before.index_of(topic), "{topic:?}");
                assert!(after.index_of(topic) <= after.index(), "{topic:?}");
            }
        });
    }

    #[test]
    fn waiters_are_woken_if_and_only_if_the_answer_changed(story in story()) {
        replay(story, |before, after, effects| {
            let new = answers(after);
            for (topic, old) in answers(before) {
                let changed = effects.changed.contains(&topic);
                // Consul wakes the watchers of the list of services for any change of an instance; so does this agent.
                if topic == Topic::Services {
                    assert!(changed || old == new[&topic], "{topic:?}: {old} -> {}", new[&topic]);
                } else {
                    assert_eq!(changed, old != new[&topic], "{topic:?}: {old} -> {}", new[&topic]);
                }
                if changed && has_index(&topic) {
                    assert!(after.index_of(&topic) > before.index_of(&topic), "{topic:?}");
                }
            }
        });
    }

    #[test]
    fn a_refused_command_changes_nothing(story in story(), command in command()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        let before = state.clone();
        if state.apply(command, now).is_err() {
            assert_eq!(answers(&state), answers(&before));
            assert_eq!(state.index(), before.index());
        }
    }

    #[test]
    fn a_check_without_heartbeats_expires_once(story in story()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        // No check stays passing for longer than this without a heartbeat.
        let later = now + Duration::from_secs(60);
        state.expire(later);
        for check in state.checks.values() {
            if matches!(check.kind, CheckKind::Ttl(_)) {
                assert_eq!(check.row.status, CheckStatus::Critical, "{check:?}");
                assert_eq!(check.expires_at, None, "{check:?}");
            }
        }
        let before = answers(&state);
        state.expire(later);
        assert_eq!(answers(&state), before, "a second call changes nothing");
    }

    #[test]
    fn what_is_due_is_applied_once(story in story(), wait in 0..600_000u64) {
        let (mut state, now) = replay(story, |_, _, _| {});
        let later = now + Duration::from_millis(wait);
        state.expire(later);
        let next = state.next_deadline();
        assert!(next.is_none_or(|next| next > later), "due again at once: {:?}", state.checks);
    }

    #[test]
    fn nothing_is_due_before_the_next_deadline(story in story()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        let Some(deadline) = state.next_deadline() else {
            let before = answers(&state);
            state.expire(now + Duration::from_secs(100_000));
            assert_eq!(answers(&state), before, "nothing is ever due");
            return Ok(());
        };
        if let Some(sooner) = deadline.checked_sub(Duration::from_nanos(1)) {
            let before = answers(&state);
            state.expire(sooner);
            assert_eq!(answers(&state), before);
        }
    }

    #[test]
    fn registering_again_keeps_the_status_and_output_of_a_check(story in story(), command in command()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        let before = state.clone();
        let registers = matches!(command, Command::RegisterService { .. } | Command::RegisterCheck(_));
        if !registers || state.apply(command, now).is_err() {
            return Ok(());
        }
        for (id, check) in &state.checks {
            if let Some(old) = before.checks.get(id) {
                assert_eq!(check.row.status, old.row.status);
                assert_eq!(check.row.output, old.row.output);
            }
        }
    }

    #[test]
    fn replacing_drops_the_checks_that_are_not_named(story in story(), command in command()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        let Command::RegisterService { service, checks, replace: true } = command else {
            return Ok(());
        };
        let (id, named) = (service.id.clone(), checks.len());
        state.apply(Command::RegisterService { service, checks, replace: true }, now).unwrap();
        assert!(state.check_ids_of(&id).len() <= named);
    }

    #[test]
    fn a_removed_service_leaves_nothing_behind(story in story()) {
        let (mut state, now) = replay(story, |_, _, _| {});
        for id in IDS {
            state.apply(Command::DeregisterService(id.to_owned()), now).unwrap();
        }
        for id in CHECKS {
            state.apply(Command::DeregisterCheck(id.to_owned()), now).unwrap();
        }
        state.apply(Command::NodeMaintenance { reason: None }, now).unwrap();
        assert_eq!(state.services.len(), 1, "the server's own: {:?}", state.services);
        assert_eq!(state.names.len(), 1, "{:?}", state.names);
        assert_eq!(state.checks.len(), 1, "the node's own: {:?}", state.checks);
        assert_eq!(state.check_ids.len(), 1, "{:?}", state.check_ids);
    }

    #[test]
    fn a_saved_state_is_restored(story in story(), away in 0..90u64) {
        let (state, now) = replay(story, |_, _, _| {});
        let away = Duration::from_secs(away);
        let saved = state.save(now);
        let back = State::restore(&identity(), saved.clone(), away, now + away);
        assert!(back.index() >= state.index());
        assert_eq!(back.agent_services(), state.agent_services());
        let definitions = |saved: &crate::state::Saved| -> Vec<_> {
            saved.checks.iter().map(|check| check.definition.clone()).collect()
        };
        assert_eq!(definitions(&back.save(now + away)), definitions(&saved));
        for (id, check) in &back.checks {
            let old = &state.checks[id];
            let counts = old.heartbeat_valid_until.is_some_and(|until| until > now + away);
            let serf = check.kind == CheckKind::Serf;
            let expected = if counts || serf { old.row.status } else { CheckStatus::Critical };
            assert_eq!(check.row.status, expected, "{id}");
        }
    }
}
