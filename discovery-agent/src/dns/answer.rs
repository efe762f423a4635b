//! Answers, assembled: from what a question is about to records. What fits into a message is decided elsewhere.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, Record, RecordType},
};

use super::{name::Subject, record::soa, zone::Zone};
use crate::state::State;

/// An answer: a code and its records.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Whether the question was about what the agent knows.
    pub(crate) authoritative: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
}

/// A record of the answer, and what makes it useful. They come and go together.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) additional: Option<Record>,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { record, additional: None }
    }
}

impl Answer {
    /// A code and nothing more.
    pub(crate) fn bare(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// Whether any of its records may come first. An alias comes before what it stands for.
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
            // Somebody else may know; Consul would ask, had it anybody to ask.
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

/// What the question is about exists; where it has no record of the type that was asked for, the SOA says so.
fn found(entries: Vec<Entry>) -> Answer {
    let authority = if entries.is_empty() { vec![soa()] } else { Vec::new() };
    Answer { authoritative: true, entries, authority, ..Answer::default() }
}

/// There is no such name.
fn missing() -> Answer {
    let authority = vec![soa()];
    Answer { code: ResponseCode::NXDomain, authoritative: true, authority, ..Answer::default() }
}

/// About the zone itself, wherever in it was asked.
fn apex(zone: &Zone<'_>, record: Option<Record>, authority: Option<Record>) -> Answer {
    Answer {
        authoritative: true,
        entries: record.into_iter().map(Entry::from).collect(),
        authority: authority.into_iter().collect(),
        additional: zone.node_address().into_iter().collect(),
        ..Answer::default()
    }
}
