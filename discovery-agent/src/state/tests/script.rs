//! Random histories: commands and the passing of time, over few names so that they collide.

use std::time::Duration;

use consul_wire::{check::CheckStatus, service::Weights};
use proptest::prelude::*;

use crate::state::{
    CheckDefinition, CheckKind, CheckTarget, Command, Identity, ServiceDefinition, TcpCheck,
    Thresholds,
};

pub(super) const IDS: [&str; 3] = ["i1", "i2", "i3"];
/// The last two differ in case only: to Consul they are one name.
pub(super) const NAMES: [&str; 3] = ["web", "db", "DB"];
pub(super) const CHECKS: [&str; 6] =
    ["check", "c1", "c2", "service:i1", "service:i2", "service:i3"];

/// One step of a history.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Command(Box<Command>),
    Pass(Duration),
}

pub(super) fn identity() -> Identity {
    Identity {
        node_id: "0".to_owned(),
        node_name: "node".to_owned(),
        datacenter: "dc1".to_owned(),
        address: "127.0.0.1".to_owned(),
    }
}

pub(super) fn story() -> impl Strategy<Value = Vec<Event>> {
    let pass = (1..120_000u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms)));
    prop::collection::vec(
        prop_oneof![4 => command().prop_map(|command| Event::Command(Box::new(command))), 1 => pass],
        1..40,
    )
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let id = || prop::sample::select(&IDS[..]).prop_map(str::to_owned);
    let check = || prop::sample::select(&CHECKS[..]).prop_map(str::to_owned);
    let reason = || prop::option::of(Just("because".to_owned()));
    let output = || prop::sample::select(&["", "well", "unwell"][..]).prop_map(str::to_owned);
    prop_oneof![
        4 => (service(), prop::collection::vec(check_definition(), 0..3), any::<bool>())
            .prop_map(|(service, checks, replace)| Command::RegisterService { service, checks, replace }),
        1 => id().prop_map(Command::DeregisterService),
        2 => (check_definition(), prop::option::of(id())).prop_map(|(mut check, service_id)| {
            check.service_id = service_id;
            Command::RegisterCheck(check)
        }),
        1 => check().prop_map(Command::DeregisterCheck),
        6 => (check(), status(), output())
            .prop_map(|(check, status, output)| Command::Heartbeat { check, status, output }),
        2 => (check(), status(), output()).prop_map(|(check, status, output)| {
            Command::Observe { check, target: target(), status, output }
        }),
        1 => (id(), reason())
            .prop_map(|(service, reason)| Command::ServiceMaintenance { service, reason }),
        1 => reason().prop_map(|reason| Command::NodeMaintenance { reason }),
    ]
}

fn service() -> impl Strategy<Value = ServiceDefinition> {
    let id = prop::sample::select(&IDS[..]);
    (id, prop::sample::select(&NAMES[..]), 0..2u16, any::<bool>()).prop_map(
        |(id, name, port, tagged)| ServiceDefinition {
            id: id.to_owned(),
            name: name.to_owned(),
            tags: if tagged { vec!["t".to_owned()] } else { Vec::new() },
            address: String::new(),
            tagged_addresses: Default::default(),
            meta: Default::default(),
            port,
            weights: Weights::default(),
            enable_tag_override: false,
        },
    )
}

fn check_definition() -> impl Strategy<Value = CheckDefinition> {
    let id = prop_oneof![Just(""), Just("c1"), Just("c2")];
    let kind = prop_oneof![
        3 => (1..60u64).prop_map(|ttl| CheckKind::Ttl(Duration::from_secs(ttl))),
        1 => Just(CheckKind::Active(target())),
    ];
    let after = prop::option::of((1..200u64).prop_map(Duration::from_secs));
    let thresholds =
        (0..3u64, 0..3u64).prop_map(|(successes, failures)| Thresholds { successes, failures });
    (id, prop::option::of(status()), kind, after, thresholds, any::<bool>()).prop_map(
        |(id, status, kind, deregister_after, thresholds, noted)| CheckDefinition {
            id: id.to_owned(),
            name: "check".to_owned(),
            notes: if noted { "noted".to_owned() } else { String::new() },
            status,
            service_id: None,
            kind,
            deregister_after,
            thresholds,
            output_bytes_max: crate::state::OUTPUT_BYTES_MAX,
        },
    )
}

fn target() -> CheckTarget {
    CheckTarget::Tcp(TcpCheck {
        address: "127.0.0.1:1".to_owned(),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
    })
}

fn status() -> impl Strategy<Value = CheckStatus> {
    prop_oneof![Just(CheckStatus::Passing), Just(CheckStatus::Warning), Just(CheckStatus::Critical)]
}
