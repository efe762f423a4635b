//! The state machine with a simulated agent that hangs, stops, is slow, rejects, loses its data, executes requests late, or has a newer run,
//! on a host whose address changes, at random times.

use proptest::prelude::*;

use super::{
    active::{CATALOG_EVERY, LOOK_EVERY},
    *,
};
use crate::agent::REGISTER_WITHIN;
use world::{Fault, REAPED_AFTER, REPAIRED_WITHIN, Record, World, place};

pub(crate) mod unanswered;
mod world;

/// The time to recover after the last fault: the longest outstanding call, full pauses, a look.
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// The interval in which faults begin, and the longest duration of one.
const FAULTS_BEGIN_MS: u64 = 120_000;
const FAULT_MS: u64 = 40_000;
const FAULTS_END: Duration = Duration::from_millis(FAULTS_BEGIN_MS + FAULT_MS);
/// It is ready at this time if there are no faults.
const READY_BY: Duration = Duration::from_secs(10);

fn time(max_ms: u64) -> impl Strategy<Value = Duration> {
    (0..max_ms).prop_map(Duration::from_millis)
}

/// Faults that keep the record of the agent.
fn silence() -> impl Strategy<Value = Fault> {
    prop_oneof![
        time(FAULT_MS).prop_map(Fault::Hangs),
        time(FAULT_MS).prop_map(Fault::Down),
        time(FAULT_MS).prop_map(Fault::Slow),
        time(FAULT_MS).prop_map(Fault::Blind),
    ]
}

/// Faults after which no call is outstanding: a request is executed at once or never.
fn clear() -> impl Strategy<Value = Fault> {
    prop_oneof![time(FAULT_MS).prop_map(Fault::Down), time(FAULT_MS).prop_map(Fault::Blind)]
}

/// Faults that lose or change the record.
fn loss() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::LosesRecord),
        Just(Fault::Edits),
        Just(Fault::Drops),
        time(FAULT_MS).prop_map(Fault::Hides),
        time(FAULT_MS).prop_map(Fault::Refuses),
        (0..3_u8).prop_map(Fault::Moves),
    ]
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![loss(), silence()]
}

fn some(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Vec<(Duration, Fault)>> {
    proptest::collection::vec((time(FAULTS_BEGIN_MS), fault), 0..8)
}

fn status() -> impl Strategy<Value = CheckStatus> {
    prop_oneof![Just(CheckStatus::Passing), Just(CheckStatus::Warning), Just(CheckStatus::Critical)]
}

fn reports() -> impl Strategy<Value = Vec<(Duration, CheckStatus)>> {
    proptest::collection::vec((time(FAULTS_BEGIN_MS), status()), 0..12)
}

fn updates() -> impl Strategy<Value = Vec<Duration>> {
    proptest::collection::vec(time(FAULTS_BEGIN_MS), 0..12)
}

/// A world in which it is ready, and whose faults begin now.
fn ready(seed: u64) -> World {
    ready_in(World::new(seed))
}

fn ready_in(mut world: World) -> World {
    world.run_until(READY_BY);
    assert_eq!(world.state(), RegistrationState::Ready);
    world.begins_now()
}

proptest! {
    #[test]
    fn after_any_faults_it_is_ready_again(seed: u64, faults in some(any_fault())) {
        let mut world = ready(seed).with(&faults);
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.catalog(), Catalog::Has);
    }

    #[test]
    fn changed_details_are_published_within_a_gap(seed: u64, updates in updates()) {
        let mut world = ready(seed).updating(&updates);
        for at in updates {
            world.run_until(at + UPDATE_GAP + REGISTER_WITHIN);
            prop_assert_eq!(world.state(), RegistrationState::Ready);
        }
        world.run_until(FAULTS_END);
        prop_assert_eq!(world.recorded_details, world.details);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn after_any_faults_the_changed_details_are_published(
        seed: u64,
        faults in some(any_fault()),
        reports in reports(),
        updates in updates(),
    ) {
        let back = (FAULTS_END, CheckStatus::Passing);
        let reports = [reports, vec![back]].concat();
        let mut world = ready(seed).with(&faults).reporting(&reports).updating(&updates);
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.recorded_details, world.details);
        prop_assert_eq!(world.status.0, CheckStatus::Passing);
    }

    #[test]
    fn a_leave_during_updates_leaves_nothing_behind(
        seed: u64,
        updates in updates(),
        refuses_at in proptest::option::of(time(FAULTS_BEGIN_MS)),
        after in time(FAULTS_BEGIN_MS),
    ) {
        let refuses: Vec<_> = refuses_at.map(|at| (at, Fault::Refuses(FAULTS_END))).into_iter().collect();
        let mut world = ready(seed).without_races().with(&refuses).updating(&updates);
        world = world.leaves(after, Duration::ZERO);
        world.run_until(FAULTS_END);
        prop_assert_eq!(world.record, None);
        prop_assert_eq!(world.state(), RegistrationState::Left);
    }

    #[test]
    fn after_any_faults_at_its_start_it_is_ready(seed: u64, faults in some(any_fault())) {
        let mut world = World::new(seed).with(&faults);
        world.run_until(FAULTS_END + REPAIRED_WITHIN + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.catalog(), Catalog::Has);
    }

    #[test]
    fn an_instance_that_the_catalog_lost_is_back_after_its_next_read(
        seed: u64,
        at in time(60_000),
        drops in 1..4_usize,
    ) {
        let faults: Vec<_> = (0..drops).map(|again| (at * (again as u32 + 1), Fault::Drops)).collect();
        let mut world = ready(seed).with(&faults);
        world.run_until(at * drops as u32 + CATALOG_EVERY + LOOK_EVERY + Duration::from_secs(3));
        prop_assert_eq!(world.catalog(), Catalog::Has);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn an_instance_that_the_catalog_never_showed_again_is_back_although_looks_are_rare_after_an_outage(
        seed: u64,
        drops_after in time(5000),
    ) {
        let (blind, down) = (Duration::from_secs(10), Duration::from_secs(40));
        let faults = [
            (Duration::ZERO, Fault::LosesRecord),
            (Duration::ZERO, Fault::Blind(blind)),
            (HEARTBEAT_EVERY + drops_after, Fault::Drops),
            (blind, Fault::Down(down)),
        ];
        let mut world = ready(seed).with(&faults);
        world.run_until(blind + down + Duration::from_secs(45));
        prop_assert_eq!(world.catalog(), Catalog::Has);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn a_changed_address_is_published_after_the_next_look(
        seed: u64,
        at in time(60_000),
        silent in proptest::option::of(Just(Fault::Down(Duration::from_secs(30)))),
    ) {
        let faults: Vec<_> = silent.map(|fault| (at, fault)).into_iter().collect();
        let mut world = ready(seed).with(&[(at, Fault::Moves(1))]).with(&faults);
        let agent_back_after = Duration::from_secs(if faults.is_empty() { 0 } else { 40 });
        world.run_until(at + agent_back_after + LOOK_EVERY + Duration::from_secs(1));
        prop_assert_eq!(world.record, Some(Record::Ours(place(1))));
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn a_late_registration_does_not_restore_an_old_address(
        seed: u64,
        hangs in time(FAULT_MS),
        moves in time(FAULT_MS),
    ) {
        let faults = [(Duration::ZERO, Fault::Hangs(hangs)), (moves, Fault::Moves(1))];
        let mut world = World::new(seed).with(&faults);
        world.run_until(FAULTS_END);
        prop_assert_eq!(world.record, Some(Record::Ours(place(1))));
    }

    #[test]
    fn a_record_written_by_hand_is_replaced_after_the_next_look(seed: u64, at in time(60_000)) {
        let mut world = ready(seed).with(&[(at, Fault::Edits)]);
        world.run_until(at + LOOK_EVERY + Duration::from_secs(1));
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn a_refused_registration_is_reported_and_retried_slowly(seed: u64, lost_at in time(60_000)) {
        let refused = Duration::from_secs(600);
        let mut world = ready(seed)
            .with(&[(lost_at, Fault::Refuses(refused)), (lost_at, Fault::LosesRecord)]);
        let before = world.registrations();
        world.run_until(lost_at + LOOK_EVERY + Duration::from_secs(1));
        prop_assert_eq!(world.state(), RegistrationState::Refused);
        world.run_until(lost_at + refused);
        prop_assert_eq!(world.state(), RegistrationState::Refused);
        let tries = world.registrations() - before;
        let (least, most) = (refused.as_secs() / 31, refused.as_secs() / 14);
        prop_assert!((least..=most).contains(&(tries as u64)), "{} tries", tries);
        world.run_until(lost_at + refused + REFUSED_PAUSE + Duration::from_secs(1));
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn calls_without_answers_never_register_again(seed: u64, faults in some(silence())) {
        let mut world = ready(seed).with(&faults);
        let before = world.registrations();
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.registrations(), before);
    }

    #[test]
    fn a_lost_registration_is_back_after_the_next_heartbeat(seed: u64, at in time(60_000)) {
        let mut world = ready(seed).with(&[(at, Fault::LosesRecord)]);
        world.run_until(at + HEARTBEAT_EVERY + Duration::from_millis(500));
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
    }

    #[test]
    fn after_any_faults_the_last_report_is_the_status(
        seed: u64,
        faults in some(any_fault()),
        reports in reports(),
        last in prop_oneof![Just(CheckStatus::Passing), Just(CheckStatus::Warning)],
    ) {
        let end = [(FAULTS_END, last)];
        let mut world = ready(seed).with(&faults).reporting(&reports).reporting(&end);
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.status.0, last);
    }

    #[test]
    fn a_critical_instance_is_removed_after_a_minute_and_is_back_with_the_next_pass(
        seed: u64,
        reports in reports(),
        critical_for in time(120_000),
    ) {
        let critical = [(FAULTS_END, CheckStatus::Critical)];
        let passing = [(FAULTS_END + critical_for, CheckStatus::Passing)];
        let mut world = ready(seed).reporting(&reports).reporting(&critical).reporting(&passing);
        world.run_until(FAULTS_END + critical_for);
        // Time for the reports before, each of which may be sent late.
        let is_gone = critical_for > REAPED_AFTER + Duration::from_secs(2);
        prop_assert!(!is_gone || world.record.is_none());
        world.run_until(FAULTS_END + critical_for + Duration::from_secs(3));
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.status.0, CheckStatus::Passing);
    }

    #[test]
    fn reports_have_no_effect_without_heartbeats(seed: u64, reports in reports()) {
        let mut world = ready_in(World::without_heartbeats(seed)).reporting(&reports);
        world.run_until(FAULTS_END);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.registrations(), 1);
    }

    #[test]
    fn a_polled_check_has_no_heartbeats_and_any_loss_is_repaired(
        seed: u64,
        faults in some(any_fault()),
    ) {
        let mut world = ready_in(World::without_heartbeats(seed)).with(&faults);
        world.run_until(FAULTS_END + WELL_WITHIN);
        prop_assert_eq!(world.state(), RegistrationState::Ready);
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.catalog(), Catalog::Has);
        let is_heartbeat = |effect: &Effect| matches!(effect, Effect::Heartbeat { .. });
        prop_assert!(!world.effects.iter().any(is_heartbeat));
    }

    #[test]
    fn without_heartbeats_a_loss_is_found_by_the_next_look(seed: u64, at in time(60_000)) {
        let mut world =
            ready_in(World::without_heartbeats(seed)).with(&[(at, Fault::LosesRecord)]);
        world.run_until(at + LOOK_EVERY + Duration::from_secs(1));
        prop_assert_eq!(world.record, Some(Record::Ours(world.place)));
        prop_assert_eq!(world.state(), RegistrationState::Ready);
    }

    #[test]
    fn without_heartbeats_it_leaves_in_time(
        seed: u64,
        faults in some(any_fault()),
        leave_at in time(FAULTS_BEGIN_MS),
        drain in time(30_000),
    ) {
        let world = World::without_heartbeats(seed).with(&faults);
        let mut world = world.leaves(leave_at, drain);
        world.run_until(FAULTS_END + drain);
        prop_assert_eq!(world.state(), RegistrationState::Left);
        prop_assert_eq!(world.machine.wakes_at(), None);
    }

    #[test]
    fn after_any_faults_it_leaves_in_time(
        seed: u64,
        faults in some(any_fault()),
        leave_at in time(FAULTS_BEGIN_MS),
        drain in time(30_000),
    ) {
        let mut world = World::new(seed).with(&faults).leaves(leave_at, drain);
        world.run_until(FAULTS_END + drain);
        prop_assert_eq!(world.state(), RegistrationState::Left);
        prop_assert_eq!(world.machine.wakes_at(), None);
    }

    #[test]
    fn an_agent_that_answers_has_no_record_after_the_end(
        seed: u64,
        slow in time(4000),
        leave_at in prop_oneof![time(4000), time(60_000)],
        drain in time(10_000),
    ) {
        let (slow, slow_max) = (Fault::Slow(slow), Duration::from_secs(4));
        let mut world =
            World::new(seed).with(&[(Duration::ZERO, slow)]).leaves(leave_at, drain);
        world.run_until(leave_at + drain + WELL_WITHIN);
        let gave_up = world.effects.contains(&Effect::Notice(Notice::GaveUp));
        prop_assert!(world.record.is_none() || gave_up);
        prop_assert!(!gave_up || leave_at < slow_max + REGISTER_WITHIN);
    }

    #[test]
    fn a_successor_is_not_touched(
        seed: u64,
        faults in some(clear()),
        successor_at in time(FAULTS_BEGIN_MS),
        leave_at in time(FAULTS_BEGIN_MS),
        drain in time(60_000),
    ) {
        // A successor may register between a look and the deregistration after it, which no client can prevent.
        let world = ready(seed).without_races().with(&faults);
        let mut world = world.succeeded(successor_at).leaves(leave_at, drain);
        let before = world.registrations();
        world.run_until(FAULTS_END + WELL_WITHIN * 2);
        prop_assert_eq!(world.record, Some(Record::Another));
        prop_assert_eq!(world.registrations(), before);
    }
}

#[test]
fn a_successor_ends_the_heartbeats() {
    let mut world = ready(7).succeeded(Duration::from_secs(20));
    world.run_until(Duration::from_secs(20) + LOOK_EVERY + LOCAL_WITHIN);
    assert_eq!(world.state(), RegistrationState::Replaced);
    assert_eq!(world.machine.wakes_at(), None);
}

#[test]
fn a_look_that_finds_nothing_registers_again() {
    let World { mut machine, now, place, .. } = ready(7);
    let found = Found::Nothing;
    let looked = Event::Looked { epoch: machine.epoch, found, place: Some(place) };
    assert_eq!(machine.on(looked, now, 0.0), [Effect::Notice(Notice::Lost)]);
    assert_eq!(machine.state(), RegistrationState::Registering);
    let due = machine.wakes_at().unwrap();
    assert_eq!(machine.on(Event::Tick, due, 0.0), [Effect::Probe]);
    let probed = Event::Probed(Probed::Answered(place));
    assert_eq!(machine.on(probed, due, 0.0), [Effect::Register { place }]);
}

#[test]
fn a_look_from_before_the_registration_is_ignored() {
    let World { mut machine, now, .. } = ready(7);
    let found = Found::Nothing;
    let looked = Event::Looked { epoch: machine.epoch - 1, found, place: None };
    assert_eq!(machine.on(looked, now, 0.0), []);
    assert_eq!(machine.state(), RegistrationState::Ready);
}

#[test]
fn a_catalog_without_the_instance_is_reported_once() {
    let mut world = World::new(7).with(&[(Duration::ZERO, Fault::Hides(WELL_WITHIN))]);
    world.run_until(Duration::from_secs(50));
    assert_eq!(world.state(), RegistrationState::Registered);
    let notices = world.effects.iter().filter(|effect| matches!(effect, Effect::Notice(_)));
    assert_eq!(notices.collect::<Vec<_>>(), [&Effect::Notice(Notice::Unseen)]);
}

#[test]
fn a_place_that_is_not_known_now_is_not_a_change() {
    let World { mut machine, now, .. } = ready(7);
    let found = Found::Unknown;
    let looked = Event::Looked { epoch: machine.epoch, found, place: None };
    assert_eq!(machine.on(looked, now, 0.0), []);
    assert_eq!(machine.state(), RegistrationState::Ready);
}

#[test]
fn invalid_settings_are_refused_and_never_registered() {
    let start = Instant::now();
    let mut machine = Machine::new(start, Some(HEARTBEAT_EVERY));
    let mut now = start;
    while now < start + Duration::from_secs(300) {
        now = machine.wakes_at().unwrap();
        assert_eq!(machine.on(Event::Tick, now, 0.5), [Effect::Probe]);
        assert_eq!(machine.on(Event::Probed(Probed::Refused), now, 0.5), []);
        assert_eq!(machine.state(), RegistrationState::Refused);
    }
    let leave = Event::Leave(Leave { deregister_at: now, give_up_at: now });
    assert_eq!((machine.on(leave, now, 0.5), machine.state()), (vec![], RegistrationState::Left));
}

#[test]
fn a_refused_heartbeat_is_reported_until_one_succeeds() {
    let World { mut machine, now, .. } = ready(7);
    let epoch = machine.epoch;
    for (heartbeat, state) in [
        (Heartbeat::Refused, RegistrationState::Refused),
        (Heartbeat::Passed, RegistrationState::Ready),
    ] {
        assert_eq!(machine.on(Event::HeartbeatEnded { epoch, heartbeat }, now, 0.5), []);
        assert_eq!(machine.state(), state);
    }
}

#[test]
fn nothing_is_registered_before_a_program_that_reports_critical_passes() {
    let now = Instant::now();
    let mut machine = Machine::new(now, Some(HEARTBEAT_EVERY));
    assert_eq!(machine.on(Event::Tick, now, 0.5), [Effect::Probe]);
    assert_eq!(machine.on(Event::Reported(CheckStatus::Critical), now, 0.5), []);
    let probed = Event::Probed(Probed::Answered(place(0)));
    assert_eq!((machine.on(probed, now, 0.5), machine.wakes_at()), (vec![], None));
    assert_eq!(machine.on(Event::Reported(CheckStatus::Warning), now, 0.5), []);
    assert_eq!(machine.wakes_at(), Some(now));
    assert_eq!(machine.on(Event::Tick, now, 0.5), [Effect::Probe]);
}

#[test]
fn a_second_order_to_leave_deregisters_at_once() {
    let World { mut machine, now, .. } = ready(7);
    let order = |after: u64| {
        let deregister_at = now + Duration::from_secs(after);
        Event::Leave(Leave { deregister_at, give_up_at: deregister_at + LOCAL_WITHIN })
    };
    let ours = |machine: &Machine| Event::Looked {
        epoch: machine.epoch,
        found: Found::Ours { catalog: Catalog::Unknown },
        place: None,
    };
    machine.on(order(600), now, 0.5);
    let looked = ours(&machine);
    assert_eq!(machine.on(looked, now, 0.5), [Effect::Maintain]);
    machine.on(Event::Maintained, now, 0.5);
    assert_eq!(machine.wakes_at(), Some(now + Duration::from_secs(600)));
    machine.on(order(0), now, 0.5);
    // A later order changes nothing.
    machine.on(order(900), now, 0.5);
    assert_eq!(machine.wakes_at(), Some(now));
    assert!(matches!(machine.on(Event::Tick, now, 0.5)[..], [Effect::Look { .. }]));
    let looked = ours(&machine);
    assert_eq!(machine.on(looked, now, 0.5), [Effect::Deregister]);
    machine.on(Event::Deregistered { done: true }, now, 0.5);
    assert_eq!(machine.state(), RegistrationState::Left);
}
