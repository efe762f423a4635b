//! Messages: from the bytes of a question to the bytes of its answer, cut to what fits.
//!
//! Unlike Consul's, the cut is honest: whenever something is left out the truncation bit says so, and what is left in is always the same, so that
//! who cannot ask again by TCP at least sees a steady set.

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::{DNSClass, RecordType},
};

use super::{
    answer::{Answer, answer},
    name,
};
use crate::state::State;

/// What fits into a datagram without EDNS (RFC 1035).
const PLAIN_BYTES_MAX: usize = 512;
/// What fits into a message over TCP.
const TCP_BYTES_MAX: usize = u16::MAX as usize;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// An answer ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) bytes: Vec<u8>,
    /// How many records of equal standing it has: it may be turned so often before it is the same again.
    pub(crate) turns: usize,
    /// Whether it is the same for as long as the state is: an SOA tells the time.
    pub(crate) lasting: bool,
}

/// Answers the bytes of a question; `None` for what is no question at all. `turn`: how far to turn the records, so that clients that take the
/// first do not all take the same.
pub(crate) fn reply(bytes: &[u8], via: Transport, state: &State, turn: usize) -> Option<Ready> {
    let question = Message::from_vec(bytes).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let answer = find(&question, state);
    let limit = limit(&question, via);
    let kept = fitting(&question, &answer, limit);
    let turn = if kept == 0 { 0 } else { turn % kept };
    let lasting = answer.authority.is_empty() && answer.code == ResponseCode::NoError;
    let bytes = write(&question, &answer, kept, turn)?;
    Some(Ready { bytes, turns: kept.max(1), lasting })
}

/// The same question answered with a code alone.
pub(crate) fn code(bytes: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).ok()?;
    write(&question, &Answer { code, ..Answer::default() }, 0, 0)
}

fn find(question: &Message, state: &State) -> Answer {
    let only = |code| Answer { code, ..Answer::default() };
    if question.metadata.op_code != OpCode::Query {
        return only(ResponseCode::NotImp);
    }
    let [query] = &question.queries[..] else { return only(ResponseCode::FormErr) };
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        return only(ResponseCode::Refused);
    }
    let name = query.name().to_lowercase();
    let labels: Option<Vec<&str>> = name.iter().map(|label| str::from_utf8(label).ok()).collect();
    let kind = query.query_type();
    let srv = kind == RecordType::SRV;
    let subject = labels.map_or(name::Subject::Unknown, |labels| name::read(&labels, srv));
    answer(state, query.name(), kind, &subject)
}

fn limit(question: &Message, via: Transport) -> usize {
    match (via, &question.edns) {
        (Transport::Tcp, _) => TCP_BYTES_MAX,
        (Transport::Udp, Some(edns)) => usize::from(edns.max_payload()).max(PLAIN_BYTES_MAX),
        (Transport::Udp, None) => PLAIN_BYTES_MAX,
    }
}

/// How many entries fit.
fn fitting(question: &Message, answer: &Answer, limit: usize) -> usize {
    let fits =
        |kept: usize| write(question, answer, kept, 0).is_some_and(|bytes| bytes.len() <= limit);
    let all = answer.entries.len();
    if fits(all) {
        return all;
    }
    // The most that fit lie between what does (`low`) and what does not (`high`).
    let (mut low, mut high) = (0, all);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn write(question: &Message, answer: &Answer, kept: usize, turn: usize) -> Option<Vec<u8>> {
    let asked = &question.metadata;
    let mut message = Message::new(asked.id, MessageType::Response, asked.op_code);
    message.metadata = Metadata::response_from_request(asked);
    message.metadata.response_code = answer.code;
    message.metadata.authoritative = answer.authoritative;
    message.metadata.truncation = kept < answer.entries.len();
    message.queries.clone_from(&question.queries);
    let (late, early) = answer.entries[..kept].split_at(turn);
    for entry in early.iter().chain(late) {
        message.answers.push(entry.record.clone());
        message.additionals.extend(entry.additional.clone());
    }
    message.authorities.clone_from(&answer.authority);
    message.additionals.extend_from_slice(&answer.additional);
    if let Some(edns) = &question.edns {
        let mut own = Edns::new();
        own.set_max_payload(edns.max_payload());
        message.set_edns(own);
    }
    match message.to_vec() {
        Ok(bytes) => Some(bytes),
        // Too long for the wire's own counts: as if it did not fit.
        Err(err) => {
            tracing::debug!(%err, "an answer could not be written");
            None
        }
    }
}
