//! Constructors of records and names.

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use hickory_proto::rr::{
    Name, RData, Record,
    rdata::{A, AAAA, SOA},
};

use super::name::DOMAIN;

/// A record of the answer, with its additional records. They are kept or left out together.
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

/// The TTL of a record: it may not be cached, since the next answer may differ. Consul's default.
const TTL: u32 = 0;

pub(super) fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, data)
}

pub(super) fn address(owner: &Name, ip: IpAddr) -> Record {
    let data = match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    record(owner, data)
}

/// The zone's SOA. Its serial is the time, as Consul's is.
pub(super) fn soa() -> Record {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Serials wrap around (RFC 1982).
    let serial = now.as_secs() as u32;
    let of_zone = |host: &str| fqdn(&format!("{host}.{DOMAIN}")).unwrap_or_default();
    let data = SOA::new(of_zone("ns"), of_zone("hostmaster"), serial, 3600, 600, 86400, 0);
    record(&apex(), RData::SOA(data))
}

pub(super) fn apex() -> Name {
    fqdn(DOMAIN).unwrap_or_default()
}

/// A fully qualified name; `None` if the text is not one. Labels that are not host names (`_`, a space) are accepted, as Consul does.
pub(super) fn fqdn(text: &str) -> Option<Name> {
    let labels = text.strip_suffix('.').unwrap_or(text).split('.').map(str::as_bytes);
    let mut name = Name::from_labels(labels).ok()?;
    name.set_fqdn(true);
    Some(name)
}
