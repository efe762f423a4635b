//! The sizes of answers, and their truncation.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::{
    dns::{Answer, Via, hickory_proto::rr::RecordType},
    http::Request,
};

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(few_instances_fit_everywhere),
    row!(tcp_has_room_for_all),
    row!(a_datagram_is_never_longer_than_1232_bytes)
        .ours_is_better("Consul sends up to 64 KiB to an unverified source address"),
    row!(a_datagram_is_limited_by_the_query)
        .ours_is_better("Consul does not count its own EDNS record"),
    row!(an_answer_that_does_not_fit_is_marked_as_truncated).ours_is_better(
        "Consul never sets TC, so that resolvers take a part for the whole; ours sends them to TCP",
    ),
    row!(truncation_is_the_same_every_time).ours_is_better(
        "Consul cuts at random, so that resolvers see instances come and go that never moved",
    ),
    row!(plain_datagrams_are_filled)
        .ours_is_better("Consul sends 3 records in 512 bytes, where 25 and more fit"),
];

const MANY: usize = 100;

/// A hundred instances of one service.
async fn many(target: &Target) -> String {
    let name = target.unique("many");
    for number in 1..=MANY {
        let id = format!("{name}-{number}");
        let service = json!({ "ID": id, "Name": name, "Address": format!("10.4.0.{number}"), "Port": number });
        let request = Request::put("/v1/agent/service/register").body(service.to_string());
        target.ask(request).await.is(200, "");
    }
    target
        .until("all in the catalog", || async { target.instances(&name).await.len() == MANY })
        .await;
    format!("{name}.service.consul.")
}

fn is_truncated(answer: &Answer) -> bool {
    answer.message.metadata.truncation
}

async fn few_instances_fit_everywhere(target: &Target) {
    let name = target.unique("few");
    for number in 1..=3 {
        let id = format!("{name}-{number}");
        target
            .register(&json!({ "ID": id, "Name": name, "Address": format!("10.4.1.{number}") }))
            .await;
    }
    for via in [Via::PlainUdp, Via::Edns(512), Via::Edns(1232), Via::Edns(4096), Via::Tcp] {
        for kind in [RecordType::A, RecordType::SRV] {
            let answer = target.dns(&format!("{name}.service.consul"), kind, via).await;
            assert_eq!(
                (answer.answers().len(), is_truncated(&answer)),
                (3, false),
                "{kind} {via:?}"
            );
        }
    }
}

async fn tcp_has_room_for_all(target: &Target) {
    let name = many(target).await;
    for kind in [RecordType::A, RecordType::SRV] {
        let answer = target.dns(&name, kind, Via::Tcp).await;
        assert_eq!((answer.answers().len(), is_truncated(&answer)), (MANY, false), "{kind}");
    }
}

/// The recommendation of DNS Flag Day 2020: one packet on nearly all networks.
const DATAGRAM_BYTES_MAX: usize = 1232;

async fn a_datagram_is_never_longer_than_1232_bytes(target: &Target) {
    let name = many(target).await;
    for size in [4096, u16::MAX] {
        let answer = target.dns(&name, RecordType::A, Via::Edns(size)).await;
        if target.is_real() {
            assert_eq!((answer.answers().len(), is_truncated(&answer)), (MANY, false));
        } else {
            assert!(answer.length <= DATAGRAM_BYTES_MAX, "{}", answer.length);
            assert!(
                answer.answers().len() > 60 && is_truncated(&answer),
                "{:?}",
                answer.answers().len()
            );
            let own = answer.message.edns.as_ref().map(|edns| usize::from(edns.max_payload()));
            assert_eq!(own, Some(DATAGRAM_BYTES_MAX));
        }
    }
}

/// The length of an EDNS record without options.
const EDNS_BYTES: usize = 11;

async fn a_datagram_is_limited_by_the_query(target: &Target) {
    let name = many(target).await;
    let cases = [
        (Via::PlainUdp, 512),
        (Via::Edns(512), 512),
        (Via::Edns(1232), 1232),
        (Via::Edns(4096), 4096),
    ];
    for (via, bytes) in cases {
        for kind in [RecordType::A, RecordType::SRV] {
            let answer = target.dns(&name, kind, via).await;
            let more = if target.is_real() { EDNS_BYTES } else { 0 };
            assert!(answer.length <= bytes + more, "{kind} {via:?}: {}", answer.length);
            assert!(!answer.answers().is_empty());
        }
    }
}

async fn an_answer_that_does_not_fit_is_marked_as_truncated(target: &Target) {
    let name = many(target).await;
    for via in [Via::PlainUdp, Via::Edns(1232)] {
        for kind in [RecordType::A, RecordType::SRV] {
            let answer = target.dns(&name, kind, via).await;
            assert!(answer.answers().len() < MANY);
            assert_eq!(is_truncated(&answer), !target.is_real(), "{kind} {via:?}");
        }
    }
}

async fn truncation_is_the_same_every_time(target: &Target) {
    let name = many(target).await;
    for kind in [RecordType::A, RecordType::SRV] {
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            let mut answers = target.dns(&name, kind, Via::PlainUdp).await.answers();
            answers.sort();
            seen.insert(answers);
        }
        // Ten equal random draws of Consul are practically impossible.
        assert_eq!(seen.len() == 1, !target.is_real(), "{kind}: {} kinds of answer", seen.len());
    }
}

async fn plain_datagrams_are_filled(target: &Target) {
    let name = many(target).await;
    let answer = target.dns(&name, RecordType::A, Via::PlainUdp).await;
    if target.is_real() {
        assert_eq!(answer.answers().len(), 3);
    } else {
        assert!(answer.answers().len() >= 25, "{}", answer.answers().len());
    }
}
