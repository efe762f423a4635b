//! Messages: from the bytes of a question to the bytes of its answer, truncated to what fits.
//!
//! Unlike Consul's, the truncation is always visible: whenever a record is left out, the truncation bit is set. The records that stay are always
//! the same ones, so that a client that cannot retry over TCP sees a stable set.

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, ResponseCode},
    rr::DNSClass,
};

use super::{
    answer::{Answer, answer},
    name, question,
};
use crate::state::State;

/// The size limit of a UDP answer without EDNS, in bytes (RFC 1035).
const PLAIN_BYTES_MAX: usize = 512;
/// The size limit of a UDP answer with EDNS, in bytes. It fits into one packet on nearly every path (DNS Flag Day 2020), and it limits
/// amplification by questions with a forged sender. Longer answers need TCP.
const UDP_BYTES_MAX: u16 = 1232;
/// The size limit of a TCP message, in bytes.
const TCP_BYTES_MAX: usize = u16::MAX as usize;

/// The transport of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// An answer and how much of it fits, before it is encoded.
#[derive(Debug)]
pub(crate) struct Prepared {
    question: Message,
    answer: Answer,
    limit: usize,
    /// The number of entries that fit.
    kept: usize,
}

impl Prepared {
    pub(crate) fn new(question: Message, answer: Answer, via: Transport) -> Self {
        let limit = limit(&question, via);
        let kept = fitting(&question, &answer, limit);
        Self { question, answer, limit, kept }
    }

    /// The number of records that can be rotated, which is the number of different rotations.
    pub(crate) fn turns(&self) -> usize {
        if self.answer.may_turn() { self.kept.max(1) } else { 1 }
    }

    /// Whether the answer stays the same while the state does. An SOA does not: its serial is the time.
    pub(crate) fn is_lasting(&self) -> bool {
        self.answer.authority.is_empty() && self.answer.code == ResponseCode::NoError
    }

    /// Encodes the answer. `turn` is the number of records to rotate by, so that clients that use the first record are spread over all.
    pub(crate) fn write(&self, turn: usize) -> Option<Vec<u8>> {
        let Self { question, answer, limit, kept } = self;
        // Beyond 16 KiB names are not compressed, so a rotation may be longer than the measured one.
        let turned = write(question, answer, *kept, turn % self.turns());
        match turned.filter(|bytes| bytes.len() <= *limit) {
            Some(turned) => Some(turned),
            None => write(question, answer, *kept, 0),
        }
    }
}

/// An answer to the same question with a response code alone.
pub(crate) fn code(bytes: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    match question::read(bytes) {
        Ok(question) => write(&question, &Answer::bare(code), 0, 0),
        Err(refusal) => refusal,
    }
}

/// The answer of the state to a question.
pub(crate) fn answer_to(question: &Message, state: &State) -> Answer {
    let [query] = &question.queries[..] else { return Answer::bare(ResponseCode::FormErr) };
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        return Answer::bare(ResponseCode::Refused);
    }
    let (name, kind) = (query.name(), query.query_type());
    answer(state, name, kind, &name::of(name, kind))
}

fn limit(question: &Message, via: Transport) -> usize {
    match (via, &question.edns) {
        (Transport::Tcp, _) => TCP_BYTES_MAX,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.max_payload().min(UDP_BYTES_MAX)).max(PLAIN_BYTES_MAX)
        }
        (Transport::Udp, None) => PLAIN_BYTES_MAX,
    }
}

/// The number of entries that fit.
fn fitting(question: &Message, answer: &Answer, limit: usize) -> usize {
    let fits =
        |kept: usize| write(question, answer, kept, 0).is_some_and(|bytes| bytes.len() <= limit);
    let all = answer.entries.len();
    if fits(all) {
        return all;
    }
    // The largest number that fits is between `low`, which fits, and `high`, which does not.
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

/// Encodes the answer with this number of entries. Returns `None` if a message cannot hold them.
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
    if question.edns.is_some() {
        let mut own = Edns::new();
        own.set_max_payload(UDP_BYTES_MAX);
        message.set_edns(own);
    }
    let bytes = message.to_vec().ok()?;
    // The encoder truncates at 64 KiB by itself, at any record. That must not happen.
    let additionals = message.additionals.len() + usize::from(message.edns.is_some());
    let whole = count(&bytes, 6) == kept && count(&bytes, 10) == additionals;
    whole.then_some(bytes)
}

/// A record count in the header of a message.
fn count(message: &[u8], at: usize) -> usize {
    let field = message.get(at..at + 2).map_or([0, 0], |field| [field[0], field[1]]);
    usize::from(u16::from_be_bytes(field))
}
