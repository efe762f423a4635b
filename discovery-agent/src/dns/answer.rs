//! Assembles answers: from the subject of a question to records. `message` decides what fits into a message.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, Record, RecordType},
};

use super::{
    name::Subject,
    record::{Entry, soa},
    zone::Zone,
};
use crate::state::State;

/// An answer: a code and its records.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Whether the answer is authoritative.
    pub(crate) authoritative: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
}

impl Answer {
    /// A response code without records.
    pub(crate) fn bare(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// Whether the records may be rotated. A CNAME must come before the records of its target.
    pub(crate) fn may_turn(&self) -> bool {
        self.entries.iter().all(|entry| entry.record.record_type() != RecordType::CNAME)
    }
}

/// Answers a question of type `kind` for `owner`, which is about `subject`.
pub(crate) fn answer(state: &State, owner: &Name, kind: RecordType, subject: &Subject) -> Answer {
    let zone = Zone::new(state);
    match (subject, kind) {
        (Subject::Elsewhere, _) => Answer::bare(ResponseCode::Refused),
        (Subject::Reverse(ip), _) => match zone.reverse(owner, *ip) {
            Some(record) => found(vec![record.into()]),
            // Consul forwards such a question to its recursors. There are none here.
            None => Answer::bare(ResponseCode::ServFail),
        },
        (_, RecordType::AXFR) => {
            Answer { authoritative: true, ..Answer::bare(ResponseCode::NotImp) }
        }
        (_, RecordType::SOA) => apex(&zone, Some(soa()), zone.ns()),
        (_, RecordType::NS) => apex(&zone, zone.ns(), None),
        (subject, kind) => zone.look(owner, kind, subject).map_or_else(missing, found),
    }
}

/// The name exists. If it has no record of the requested type, the SOA goes into the authority section.
fn found(entries: Vec<Entry>) -> Answer {
    let authority = if entries.is_empty() { vec![soa()] } else { Vec::new() };
    Answer { authoritative: true, entries, authority, ..Answer::default() }
}

/// The name does not exist.
fn missing() -> Answer {
    let authority = vec![soa()];
    Answer { code: ResponseCode::NXDomain, authoritative: true, authority, ..Answer::default() }
}

/// A question for the SOA or NS of the zone, for any name in it.
fn apex(zone: &Zone<'_>, record: Option<Record>, authority: Option<Record>) -> Answer {
    Answer {
        authoritative: true,
        entries: record.into_iter().map(Entry::from).collect(),
        authority: authority.into_iter().collect(),
        additional: zone.node_address().into_iter().collect(),
        ..Answer::default()
    }
}
