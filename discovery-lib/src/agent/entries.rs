//! The list of instances in an agent's answer, parsed record by record: one that can't be parsed does not affect the others.

use consul_wire::service::ServiceEntry;
use serde::Deserialize;
use serde_json::Value;

use super::{LeftOut, last_answer::LastAnswer, list::List, transport::Reply};
use crate::{Error, Query};

/// The answer to the execution of a prepared query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Executed {
    nodes: Option<Vec<Value>>,
}

/// The records of an answer to this query that can be parsed and are of its service, and the others.
///
/// # Errors
/// The answer is not a list of instances, it is one of another service, or ACLs emptied it.
pub(super) fn read(
    reply: &Reply,
    query: &Query,
) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    let (entries, left_out) =
        if query.is_prepared { executed(reply)? } else { of_service(reply, &query.service)? };
    if entries.is_empty() && left_out.is_empty() {
        reply.not_emptied_by_acls()?;
    }
    Ok((entries, left_out))
}

/// As [`read`], and what `make` makes of each record, or made of it in the last answer. It gets the record, and what it made of the one before.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_again<T: Clone>(
    reply: &Reply,
    query: &Query,
    last: &mut LastAnswer<T>,
    mut make: impl FnMut(ServiceEntry, Option<&T>) -> T,
) -> Result<(Vec<T>, Vec<LeftOut>), Error> {
    if !query.is_prepared {
        let made = last.read(&reply.body, |text, before| {
            let entry = serde_json::from_slice(text).ok()?;
            is_of(&query.service, &entry).then(|| make(entry, before))
        });
        // An empty one may be an error.
        if let Some(made) = made.filter(|made| !made.is_empty()) {
            return Ok((made, Vec::new()));
        }
    }
    let (entries, left_out) = read(reply, query)?;
    let mut made = Vec::with_capacity(entries.len());
    for entry in entries {
        made.push(make(entry, made.last()));
    }
    Ok((made, left_out))
}

fn of_service(reply: &Reply, service: &str) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    let (entries, mut left_out) = parse(reply)?;
    let (entries, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| is_of(service, entry));
    if let Some(other) = others.first()
        && entries.is_empty()
    {
        return Err(reply.of_another_service(&other.service.service));
    }
    left_out.extend(others.iter().map(|entry| {
        let why = format!("it is an instance of {:?}", entry.service.service);
        LeftOut::new(&entry.node.node, &entry.service.id, why)
    }));
    Ok((entries, left_out))
}

fn parse(reply: &Reply) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    // Nearly always all of them can be.
    let error = match reply.json() {
        Ok(all) => return Ok((all, Vec::new())),
        Err(error) => error,
    };
    match List::new(&reply.body).and_then(List::records) {
        Ok(records) => each(records.into_iter().map(serde_json::from_slice)).ok_or(error),
        Err(_) => Err(error),
    }
}

/// Those of the execution of a prepared query, which may be of any service.
fn executed(reply: &Reply) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    let Executed { nodes } = reply.json()?;
    match each(nodes.unwrap_or_default().into_iter().map(Ok)) {
        Some(parts) => Ok(parts),
        // Its error is that of the first record, in a text for the whole answer.
        None => Err(reply.json::<Vec<ServiceEntry>>().err().unwrap_or_else(|| reply.refusal())),
    }
}

/// None: there are records, and none of them looks like an instance.
fn each(
    records: impl ExactSizeIterator<Item = serde_json::Result<Value>>,
) -> Option<(Vec<ServiceEntry>, Vec<LeftOut>)> {
    let (mut entries, mut left_out) = (Vec::with_capacity(records.len()), Vec::new());
    let mut has_instances = records.len() == 0;
    for record in records {
        let entry = record.as_ref().map(ServiceEntry::deserialize);
        let why = match entry {
            Ok(Ok(entry)) => {
                entries.push(entry);
                has_instances = true;
                continue;
            }
            Ok(Err(why)) => why.to_string(),
            Err(why) => why.to_string(),
        };
        let record = record.unwrap_or_default();
        let (node, id) = (record["Node"]["Node"].as_str(), record["Service"]["ID"].as_str());
        has_instances |= node.is_some() && id.is_some();
        left_out.push(LeftOut::new(node.unwrap_or_default(), id.unwrap_or_default(), why));
    }
    has_instances.then_some((entries, left_out))
}

/// Consul finds a service whatever the case of its letters.
fn is_of(service: &str, entry: &ServiceEntry) -> bool {
    let lower = |name: &str| name.chars().flat_map(char::to_lowercase).collect::<String>();
    entry.service.service == service || lower(&entry.service.service) == lower(service)
}
