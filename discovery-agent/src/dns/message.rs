//! Messages: from the bytes of a question to the bytes of its answer, cut to what fits.
//!
//! Unlike Consul's, the cut is honest: whenever something is left out the truncation bit says so, and what is left in is always the same, so that
//! who cannot ask again by TCP at least sees a steady set.

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, ResponseCode},
    rr::DNSClass,
};

use super::{
    answer::{Answer, answer},
    name, question,
};
use crate::state::State;

/// What fits into a datagram without EDNS (RFC 1035).
const PLAIN_BYTES_MAX: usize = 512;
/// A datagram is never longer, whatever the asker takes: it fits into one packet nearly everywhere (DNS Flag Day 2020), and a question with a
/// forged sender does not make a flood. The rest is for TCP.
const UDP_BYTES_MAX: u16 = 1232;
/// What fits into a message over TCP.
const TCP_BYTES_MAX: usize = u16::MAX as usize;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// An answer and what of it fits, before it is written.
#[derive(Debug)]
pub(crate) struct Prepared {
    question: Message,
    answer: Answer,
    limit: usize,
    /// How many entries fit.
    kept: usize,
}

impl Prepared {
    pub(crate) fn new(question: Message, answer: Answer, via: Transport) -> Self {
        let limit = limit(&question, via);
        let kept = fitting(&question, &answer, limit);
        Self { question, answer, limit, kept }
    }

    /// How many records of equal standing it has: it may be turned so often before it is the same again.
    pub(crate) fn turns(&self) -> usize {
        if self.answer.may_turn() { self.kept.max(1) } else { 1 }
    }

    /// Whether it is the same for as long as the state is: an SOA tells the time.
    pub(crate) fn is_lasting(&self) -> bool {
        self.answer.authority.is_empty() && self.answer.code == ResponseCode::NoError
    }

    /// Writes it. `turn`: how far to turn the records, so that clients that take the first do not all take the same.
    pub(crate) fn write(&self, turn: usize) -> Option<Vec<u8>> {
        let Self { question, answer, limit, kept } = self;
        // Beyond 16 KiB names are not compressed, so that a turn may be longer than what was measured.
        let turned = write(question, answer, *kept, turn % self.turns());
        match turned.filter(|bytes| bytes.len() <= *limit) {
            Some(turned) => Some(turned),
            None => write(question, answer, *kept, 0),
        }
    }
}

/// The same question answered with a code alone.
pub(crate) fn code(bytes: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    match question::read(bytes) {
        Ok(question) => write(&question, &Answer::bare(code), 0, 0),
        Err(refusal) => refusal,
    }
}

/// What the state has to say to a question.
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

/// Writes the answer with so many entries; `None` when they are more than a message holds.
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
    // The encoder cuts at 64 KiB by itself, in the middle of it all: it must not have to.
    let additionals = message.additionals.len() + usize::from(message.edns.is_some());
    let whole = count(&bytes, 6) == kept && count(&bytes, 10) == additionals;
    whole.then_some(bytes)
}

/// A count of records in a message's header.
fn count(message: &[u8], at: usize) -> usize {
    let field = message.get(at..at + 2).map_or([0, 0], |field| [field[0], field[1]]);
    usize::from(u16::from_be_bytes(field))
}
