//! Single cases, each with its reason.

use std::time::Duration;

use consul_wire::{check::CheckStatus, service::Weights};
use tokio::time::Instant;

use super::script::identity;
use crate::state::{
    CheckDefinition, CheckKind, Command, Effects, Refusal, ServiceDefinition, State, Thresholds,
    Topic, timer::PUBLISH_DELAY,
};

const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    state: State,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { state: State::new(&identity()), now: Instant::now() }
    }

    fn register(&mut self, id: &str, ttl: Duration, deregister_after: Option<Duration>) {
        let service = ServiceDefinition {
            id: id.to_owned(),
            name: "web".to_owned(),
            tags: Vec::new(),
            address: String::new(),
            tagged_addresses: Default::default(),
            meta: Default::default(),
            port: 80,
            weights: Weights::default(),
            enable_tag_override: false,
        };
        let check = CheckDefinition {
            id: String::new(),
            name: String::new(),
            notes: String::new(),
            status: None,
            service_id: None,
            kind: CheckKind::Ttl(ttl),
            deregister_after,
            thresholds: Thresholds::NONE,
            output_bytes_max: crate::state::OUTPUT_BYTES_MAX,
        };
        let command = Command::RegisterService { service, checks: vec![check], replace: false };
        self.state.apply(command, self.now).unwrap();
    }

    /// A check by itself that expires at once and removes its service as early as possible.
    fn register_check(&mut self, id: &str, service: Option<&str>) -> Result<Effects, Refusal> {
        let check = CheckDefinition {
            id: id.to_owned(),
            name: id.to_owned(),
            notes: String::new(),
            status: None,
            service_id: service.map(str::to_owned),
            kind: CheckKind::Ttl(SECOND),
            deregister_after: Some(60 * SECOND),
            thresholds: Thresholds::NONE,
            output_bytes_max: crate::state::OUTPUT_BYTES_MAX,
        };
        self.state.apply(Command::RegisterCheck(check), self.now)
    }

    fn pass(&mut self, id: &str, output: &str) {
        let check = format!("service:{id}");
        let output = output.to_owned();
        let beat = Command::Heartbeat { check, status: CheckStatus::Passing, output };
        self.state.apply(beat, self.now).unwrap();
    }

    /// Advances the time as the timer task does: `expire` is called at each deadline.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.state.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.state.expire(next);
            assert!(
                self.state.next_deadline() > Some(next) || self.state.next_deadline().is_none()
            );
        }
        self.now = end;
    }

    fn output(&self) -> String {
        self.state.health_checks("web")[0].output.clone()
    }

    fn is_there(&self, id: &str) -> bool {
        self.state.service(id).is_some()
    }
}

#[test]
fn a_critical_service_is_removed_after_its_time() {
    let mut scene = Scene::new();
    scene.register("w", SECOND, Some(120 * SECOND));
    scene.pass("w", "");
    scene.wait(120 * SECOND);
    assert!(scene.is_there("w"), "critical since 119 s");
    scene.wait(SECOND);
    assert!(!scene.is_there("w"), "critical since 120 s");
}

#[test]
fn no_service_is_removed_within_a_minute() {
    let mut scene = Scene::new();
    scene.register("w", SECOND, Some(SECOND));
    scene.wait(60 * SECOND);
    assert!(scene.is_there("w"));
    scene.wait(SECOND);
    assert!(!scene.is_there("w"));
}

#[test]
fn a_service_that_recovers_stays() {
    let mut scene = Scene::new();
    scene.register("w", 10 * SECOND, Some(60 * SECOND));
    for _ in 0..20 {
        scene.wait(15 * SECOND);
        scene.pass("w", "");
    }
    assert!(scene.is_there("w"));
}

/// Registration as critical is not a result: no check has run yet.
#[test]
fn a_check_registered_as_critical_removes_nothing() {
    let mut scene = Scene::new();
    scene.register("w", 3600 * SECOND, Some(60 * SECOND));
    scene.wait(600 * SECOND);
    assert!(scene.is_there("w"));
}

/// Consul: a check of the node has no service to remove, so it stays. `wait` asserts that nothing is due again at once.
#[test]
fn a_check_of_the_node_removes_nothing() {
    let mut scene = Scene::new();
    scene.register("w", 3600 * SECOND, None);
    scene.register_check("disk", None).unwrap();
    scene.wait(600 * SECOND);
    assert!(scene.is_there("w"));
    assert_eq!(scene.state.agent_checks()["disk"].status, CheckStatus::Critical);
}

#[test]
fn a_check_whose_service_was_not_saved_does_not_come_back() {
    let mut scene = Scene::new();
    scene.register("w", SECOND, None);
    scene.register_check("more", Some("w")).unwrap();
    let mut saved = scene.state.save(scene.now);
    saved.services.clear();
    scene.state = State::restore(&identity(), saved, Duration::ZERO, scene.now);
    scene.wait(600 * SECOND);
    assert_eq!(scene.state.agent_checks().len(), 0);
}

#[test]
fn an_expired_check_shows_its_last_output() {
    let mut scene = Scene::new();
    scene.register("w", SECOND, None);
    scene.pass("w", "well");
    scene.wait(SECOND);
    assert_eq!(scene.output(), "TTL expired (last output before timeout follows): well");
}

#[test]
fn a_new_output_alone_is_published_late() {
    let mut scene = Scene::new();
    scene.register("w", 3600 * SECOND, None);
    scene.pass("w", "one");
    let index = scene.state.index();
    scene.pass("w", "two");
    assert_eq!(scene.output(), "one");
    assert_eq!(scene.state.agent_checks()["service:w"].output, "two");
    scene.wait(PUBLISH_DELAY);
    assert_eq!(scene.output(), "two");
    assert_eq!(scene.state.index(), index + 1);
}

#[test]
fn an_output_that_is_restored_before_it_is_published_changes_nothing() {
    let mut scene = Scene::new();
    scene.register("w", 3600 * SECOND, None);
    scene.pass("w", "one");
    let index = scene.state.index();
    scene.pass("w", "two");
    scene.pass("w", "one");
    scene.wait(PUBLISH_DELAY);
    assert_eq!(scene.state.index(), index);
}

/// Consul: "last extinction". Changes of other services must not wake the watchers of a service that does not exist.
#[test]
fn an_unknown_name_has_the_index_at_which_a_name_last_vanished() {
    let mut scene = Scene::new();
    let unknown = Topic::Health("unknown".to_owned());
    let first = scene.state.index_of(&unknown);
    scene.register("w", SECOND, None);
    assert_eq!(scene.state.index_of(&unknown), first, "a service was added");
    scene.state.apply(Command::DeregisterService("w".to_owned()), scene.now).unwrap();
    assert_eq!(scene.state.index_of(&unknown), scene.state.index(), "a service was removed");
}

#[test]
fn after_a_downtime_longer_than_its_ttl_a_check_is_critical() {
    let mut scene = Scene::new();
    scene.register("w", 10 * SECOND, None);
    scene.pass("w", "well");
    let saved = scene.state.save(scene.now);
    for (away, status) in [(9, CheckStatus::Passing), (10, CheckStatus::Critical)] {
        let away = away * SECOND;
        let back = State::restore(&identity(), saved.clone(), away, scene.now + away);
        assert_eq!(back.health_checks("web")[0].status, status, "away for {away:?}");
    }
}

#[test]
fn reserved_ids_cannot_be_registered() {
    let mut scene = Scene::new();
    let mut check = CheckDefinition {
        id: "serfHealth".to_owned(),
        name: "mine".to_owned(),
        notes: String::new(),
        status: None,
        service_id: None,
        kind: CheckKind::Ttl(SECOND),
        deregister_after: None,
        thresholds: Thresholds::NONE,
        output_bytes_max: crate::state::OUTPUT_BYTES_MAX,
    };
    let own = |refusal: &str| Err(Refusal::Reserved(refusal.to_owned()));
    let before = scene.state.health_node();
    assert_eq!(
        scene.state.apply(Command::RegisterCheck(check.clone()), scene.now),
        own("serfHealth")
    );
    check.id = String::new();
    check.name = "serfHealth".to_owned();
    assert_eq!(scene.state.apply(Command::RegisterCheck(check), scene.now), own("serfHealth"));
    scene.state.apply(Command::DeregisterCheck("serfHealth".to_owned()), scene.now).unwrap();
    scene.state.apply(Command::DeregisterService("consul".to_owned()), scene.now).unwrap();
    assert_eq!(scene.state.health_node(), before);
    let own = scene.register_check("mine", Some("consul"));
    assert_eq!(own, Err(Refusal::UnknownService("consul".to_owned())));
    let maintain = Command::ServiceMaintenance { service: "consul".to_owned(), reason: None };
    let own = scene.state.apply(maintain, scene.now);
    assert_eq!(own, Err(Refusal::NothingToMaintain("consul".to_owned())));
    assert_eq!(scene.state.catalog_service("consul", &[]).len(), 1);
}
