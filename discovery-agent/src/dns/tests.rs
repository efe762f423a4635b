//! What must hold of answers whatever is asked.

use consul_wire::{check::CheckStatus, service::Weights};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use proptest::prelude::*;
use tokio::time::Instant;

use super::message::{Transport, reply};
use crate::state::{CheckDefinition, CheckKind, Command, Identity, ServiceDefinition, State};

/// A state with so many instances of `web`, every third of them warning, and whose it is.
pub(super) fn state(instances: usize) -> (State, Identity) {
    let identity = Identity {
        node_id: "0".to_owned(),
        node_name: "node".to_owned(),
        datacenter: "dc1".to_owned(),
        address: "127.0.0.1".to_owned(),
    };
    let mut state = State::new(&identity);
    for at in 0..instances {
        let address = format!("10.0.{}.{}", at / 256, at % 256);
        add(&mut state, with("web", &at.to_string(), &address, at % 3 == 0));
    }
    (state, identity)
}

fn add(state: &mut State, command: Command) {
    state.apply(command, Instant::now()).unwrap();
}

/// Registers an instance.
pub(super) fn with(name: &str, id: &str, address: &str, warns: bool) -> Command {
    let service = ServiceDefinition {
        id: format!("{name}-{id}"),
        name: name.to_owned(),
        tags: Vec::new(),
        address: address.to_owned(),
        tagged_addresses: Default::default(),
        meta: Default::default(),
        port: 80,
        weights: Weights { passing: 10, warning: 1 },
        enable_tag_override: false,
    };
    let check = CheckDefinition {
        id: String::new(),
        name: String::new(),
        notes: String::new(),
        status: Some(if warns { CheckStatus::Warning } else { CheckStatus::Passing }),
        service_id: None,
        kind: CheckKind::Ttl(std::time::Duration::from_secs(60)),
        deregister_after: None,
    };
    Command::RegisterService { service, checks: vec![check], replace: false }
}

pub(super) fn question(name: &str, kind: RecordType, payload: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

fn ask(state: &State, bytes: &[u8], via: Transport, turn: usize) -> (Message, usize) {
    let ready = reply(bytes, via, state, turn).unwrap();
    (Message::from_vec(&ready.bytes).unwrap(), ready.bytes.len())
}

fn sorted(message: &Message) -> Vec<String> {
    let mut answers: Vec<_> = message.answers.iter().map(ToString::to_string).collect();
    answers.sort();
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        reply(&bytes, Transport::Udp, &state(3).0, 0);
    }

    #[test]
    fn no_damage_to_a_question_brings_it_down(
        at in 0usize..60,
        to in any::<u8>(),
        kind in any::<u16>(),
        name in "[a-z0-9_.-]{0,40}",
    ) {
        let name = format!("{name}.service.consul.");
        let Ok(name) = Name::from_ascii(&name) else { return Ok(()) };
        let mut bytes = question(&name.to_ascii(), kind.into(), Some(1232));
        let at = at % bytes.len();
        bytes[at] = to;
        reply(&bytes, Transport::Udp, &state(3).0, 0);
    }

    #[test]
    fn what_is_cut_says_so_and_what_stays_is_steady(
        instances in 0usize..400,
        payload in prop::option::of(any::<u16>()),
        srv in any::<bool>(),
        turns in (0usize..200, 0usize..200),
    ) {
        let state = state(instances).0;
        let kind = if srv { RecordType::SRV } else { RecordType::A };
        let bytes = question("web.service.consul.", kind, payload);
        let (answer, length) = ask(&state, &bytes, Transport::Udp, turns.0);
        let limit = payload.map_or(512, |payload| usize::from(payload).clamp(512, 1232));
        prop_assert!(length <= limit, "{length} > {limit}");
        prop_assert_eq!(answer.metadata.truncation, answer.answers.len() < instances);
        if srv {
            prop_assert_eq!(answer.additionals.len(), answer.answers.len(), "each with its address");
        }
        let (turned, _) = ask(&state, &bytes, Transport::Udp, turns.1);
        prop_assert_eq!(sorted(&turned), sorted(&answer), "the same, maybe in another order");
        let (whole, _) = ask(&state, &bytes, Transport::Tcp, 0);
        prop_assert_eq!(whole.answers.len(), instances);
        prop_assert!(!whole.metadata.truncation);
    }
}

#[test]
fn every_record_has_its_turn_at_being_first() {
    let state = state(5).0;
    let bytes = question("web.service.consul.", RecordType::A, None);
    let firsts =
        (0..5).map(|turn| ask(&state, &bytes, Transport::Udp, turn).0.answers[0].to_string());
    assert_eq!(firsts.collect::<std::collections::BTreeSet<_>>().len(), 5);
}

#[test]
fn what_is_too_long_even_for_tcp_says_so() {
    let state = state(3000).0;
    let bytes = question("web.service.consul.", RecordType::SRV, None);
    let (answer, length) = ask(&state, &bytes, Transport::Tcp, 0);
    assert!(answer.metadata.truncation && length <= usize::from(u16::MAX), "{length}");
    assert!(answer.answers.len() > 600, "{}", answer.answers.len());
    assert_eq!(answer.additionals.len(), answer.answers.len());
}

#[test]
fn a_name_that_leads_to_itself_is_followed_no_further() {
    let mut state = state(0).0;
    add(&mut state, with("loop", "1", "loop.service.consul", false));
    let bytes = question("loop.service.consul.", RecordType::A, None);
    let (answer, _) = ask(&state, &bytes, Transport::Udp, 0);
    assert!(answer.answers.iter().all(|record| matches!(record.data, RData::CNAME(_))));
    assert!(answer.answers.len() <= 4, "{:?}", answer.answers);
}

#[test]
fn a_name_of_the_zone_that_another_stands_for_is_told_along() {
    let mut state = state(1).0;
    add(&mut state, with("alias", "1", "web.service.consul", false));
    let bytes = question("alias.service.consul.", RecordType::A, None);
    // An alias comes first in every turn.
    let (answer, _) = ask(&state, &bytes, Transport::Udp, 1);
    let answers: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
    assert_eq!(
        answers,
        [
            "alias.service.consul. 0 IN CNAME web.service.consul.",
            "web.service.consul. 0 IN A 10.0.0.0"
        ]
    );
}

#[test]
fn answers_to_nobody_are_none() {
    let mut bytes = question("web.service.consul.", RecordType::A, None);
    bytes[2] |= 0x80;
    assert!(reply(&bytes, Transport::Udp, &state(1).0, 0).is_none(), "an answer, not a question");
    assert!(reply(&[], Transport::Udp, &state(1).0, 0).is_none());
    assert!(reply(&[0; 12], Transport::Udp, &state(1).0, 0).is_some_and(|it| {
        Message::from_vec(&it.bytes).unwrap().metadata.response_code == ResponseCode::FormErr
    }));
}
