//! Consul's DNS: names, their records, and the sizes of answers.

mod messages;
mod names;
mod records;
mod sizes;

use testkit::dns::{
    Answer, Via,
    hickory_proto::{
        op::ResponseCode,
        rr::{RData, RecordType},
    },
};

use crate::{table::Row, target::Target};

pub(crate) const MESSAGES: &[Row] = messages::ROWS;
pub(crate) const NAMES: &[Row] = names::ROWS;
pub(crate) const RECORDS: &[Row] = records::ROWS;
pub(crate) const SIZES: &[Row] = sizes::ROWS;

/// Sends a query with EDNS, as resolvers do.
async fn ask(target: &Target, name: &str, kind: RecordType) -> Answer {
    target.dns(name, kind, Via::Edns(1232)).await
}

/// The answer section, sorted because its order is random: each record as `name ttl TYPE data`.
fn answers(answer: &Answer) -> Vec<String> {
    let mut answers = answer.answers();
    answers.sort();
    answers
}

/// The data of the answer section, without names and TTLs, sorted.
fn data(answer: &Answer) -> Vec<String> {
    let mut data: Vec<String> = answer.data().into_iter().map(ToString::to_string).collect();
    data.sort();
    data
}

/// The name does not exist, and that must not be cached.
#[track_caller]
fn is_no_name(answer: &Answer) {
    assert_eq!(answer.code(), ResponseCode::NXDomain, "{:?}", answer.answers());
    assert_eq!(answer.answers(), [""; 0]);
    has_soa(answer);
}

/// The name exists, without records of this type.
#[track_caller]
fn is_no_data(answer: &Answer) {
    assert_eq!(answer.code(), ResponseCode::NoError);
    assert_eq!(answer.answers(), [""; 0]);
    has_soa(answer);
}

#[track_caller]
fn has_soa(answer: &Answer) {
    let [soa] = &answer.message.authorities[..] else { panic!("{:?}", answer.authorities()) };
    assert_eq!((soa.name.to_string().as_str(), soa.ttl), ("consul.", 0));
    let RData::SOA(soa) = &soa.data else { panic!("{soa}") };
    assert_eq!(soa.mname.to_string(), "ns.consul.");
    assert_eq!(soa.rname.to_string(), "hostmaster.consul.");
    assert_eq!((soa.refresh, soa.retry, soa.expire, soa.minimum), (3600, 600, 86400, 0));
}
