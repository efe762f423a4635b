//! Properties that hold for every question.

use consul_wire::{check::CheckStatus, service::Weights};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    message::{Prepared, Transport, answer_to, code},
    question as read,
};
use crate::state::{
    CheckDefinition, CheckKind, Command, Identity, ServiceDefinition, State, Thresholds,
};

/// A state with this number of instances of `web`, every third of them warning, and its identity.
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
        thresholds: Thresholds::NONE,
        output_bytes_max: crate::state::OUTPUT_BYTES_MAX,
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

/// The bytes of a new answer.
fn reply(bytes: &[u8], via: Transport, state: &State, turn: usize) -> Option<Vec<u8>> {
    let question = match read::read(bytes) {
        Ok(question) => question,
        Err(refusal) => return refusal,
    };
    let answer = answer_to(&question, state);
    Prepared::new(question, answer, via).write(turn)
}

/// A new answer, and its length.
pub(super) fn ask(state: &State, bytes: &[u8], via: Transport, turn: usize) -> (Message, usize) {
    let bytes = reply(bytes, via, state, turn).unwrap();
    (Message::from_vec(&bytes).unwrap(), bytes.len())
}

fn sorted(message: &Message) -> Vec<String> {
    let mut answers: Vec<_> = message.answers.iter().map(ToString::to_string).collect();
    answers.sort();
    answers
}

/// Arbitrary bytes, and questions with some bytes changed or cut off.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..600);
    let name = "[a-z0-9][a-z0-9_-]{0,19}(\\.[a-z0-9][a-z0-9_-]{0,19}){0,3}";
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let cut = prop::option::of(any::<prop::sample::Index>());
    let damaged = (name, any::<u16>(), prop::option::of(any::<u16>()), damage, cut);
    let damaged = damaged.prop_map(|(name, kind, payload, damage, cut)| {
        let mut bytes = question(&format!("{name}.service.consul."), kind.into(), payload);
        for (at, to) in damage {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes.truncate(cut.map_or(usize::MAX, |cut| cut.index(bytes.len())));
        bytes
    });
    prop_oneof![bytes, damaged]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn exactly_the_questions_are_answered(bytes in messages()) {
        for via in [Transport::Udp, Transport::Tcp] {
            let ready = reply(&bytes, via, &state(3).0, 0);
            let is_question = bytes.len() >= 12 && bytes[2] & 0x80 == 0;
            prop_assert_eq!(ready.is_some(), is_question);
            let failed = code(&bytes, ResponseCode::ServFail);
            prop_assert_eq!(failed.is_some(), is_question);
            for answer in ready.into_iter().chain(failed) {
                prop_assert!(answer.len() <= 1232);
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                let read = Message::from_vec(&answer).expect("an answer that can be read");
                prop_assert_eq!(read.metadata.message_type, MessageType::Response);
                prop_assert_eq!(u8::from(read.metadata.op_code), bytes[2] >> 3 & 0xf);
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_truncated_answer_is_marked_and_its_records_are_stable(
        instances in 0usize..200,
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
fn every_record_comes_first_in_one_rotation() {
    let state = state(5).0;
    let bytes = question("web.service.consul.", RecordType::A, None);
    let firsts =
        (0..5).map(|turn| ask(&state, &bytes, Transport::Udp, turn).0.answers[0].to_string());
    assert_eq!(firsts.collect::<std::collections::BTreeSet<_>>().len(), 5);
}

#[test]
fn an_answer_too_long_for_tcp_is_marked_as_truncated() {
    let state = state(3000).0;
    let bytes = question("web.service.consul.", RecordType::SRV, None);
    let (answer, length) = ask(&state, &bytes, Transport::Tcp, 0);
    assert!(answer.metadata.truncation && length <= usize::from(u16::MAX), "{length}");
    assert!(answer.answers.len() > 600, "{}", answer.answers.len());
    assert_eq!(answer.additionals.len(), answer.answers.len());
}

#[test]
fn an_alias_of_itself_is_followed_a_limited_number_of_times() {
    let mut state = state(0).0;
    add(&mut state, with("loop", "1", "loop.service.consul", false));
    let bytes = question("loop.service.consul.", RecordType::A, None);
    let (answer, _) = ask(&state, &bytes, Transport::Udp, 0);
    assert!(answer.answers.iter().all(|record| matches!(record.data, RData::CNAME(_))));
    assert!(answer.answers.len() <= 4, "{:?}", answer.answers);
}

#[test]
fn the_target_of_an_alias_is_included_if_it_is_in_the_zone() {
    let mut state = state(1).0;
    add(&mut state, with("alias", "1", "web.service.consul", false));
    let bytes = question("alias.service.consul.", RecordType::A, None);
    // A CNAME comes first in every rotation.
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
fn a_message_that_is_not_a_question_is_not_answered() {
    let mut bytes = question("web.service.consul.", RecordType::A, None);
    bytes[2] |= 0x80;
    assert!(reply(&bytes, Transport::Udp, &state(1).0, 0).is_none(), "an answer, not a question");
    assert!(code(&bytes, ResponseCode::ServFail).is_none(), "nor when the agent fails");
    assert!(reply(&[], Transport::Udp, &state(1).0, 0).is_none());
    assert!(reply(&bytes[..11], Transport::Udp, &state(1).0, 0).is_none());
}

/// An address that is too long for a name, beside a valid one.
#[test]
fn an_address_that_dns_cannot_encode_is_left_out() {
    for address in [".", "a..b", &"x".repeat(64), &"abcdefgh.".repeat(30)] {
        let mut state = state(1).0;
        add(&mut state, with("web", "odd", address, false));
        add(&mut state, with("odd", "only", address, false));
        let bytes = question("web.service.consul.", RecordType::SRV, None);
        let (answer, _) = ask(&state, &bytes, Transport::Udp, 0);
        assert_eq!(answer.answers.len(), 1, "{address}: {:?}", answer.answers);
        for kind in [RecordType::SRV, RecordType::A, RecordType::AAAA] {
            let (answer, _) =
                ask(&state, &question("odd.service.consul.", kind, None), Transport::Udp, 0);
            let code = answer.metadata.response_code;
            assert_eq!((code, answer.answers.len()), (ResponseCode::NoError, 0), "{address}");
        }
    }
}

/// The name of a node may be invalid in DNS. Then no record refers to it.
#[test]
fn a_node_without_a_name_is_no_target() {
    let mut identity = state(0).1;
    identity.node_name = "x".repeat(64);
    let mut state = State::new(&identity);
    add(&mut state, with("web", "1", "", false));
    let questions = [
        ("web.service.consul.", RecordType::SRV),
        ("consul.", RecordType::NS),
        ("consul.", RecordType::SOA),
    ];
    for (name, kind) in questions {
        let (answer, _) = ask(&state, &question(name, kind, None), Transport::Udp, 0);
        let records = answer.answers.iter().chain(&answer.authorities).map(ToString::to_string);
        let to_root: Vec<_> = records.filter(|record| record.ends_with(" .")).collect();
        assert!(to_root.is_empty(), "{kind}: {to_root:?}");
    }
}
