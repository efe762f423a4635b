//! The list of instances in an agent's answer, parsed record by record: one that can't be parsed does not affect the others.

use consul_wire::service::ServiceEntry;
use serde::Deserialize;
use serde_json::Value;

use super::{LeftOut, transport::Reply};
use crate::Error;

/// The answer to the execution of a prepared query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Executed {
    nodes: Option<Vec<Value>>,
}

/// The records of a list that can be parsed and are of this service, and the others.
///
/// # Errors
/// The answer is not a list of instances, or it is one of another service.
pub(super) fn read(
    reply: &Reply,
    service: &str,
) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
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
    match reply.json::<Vec<Value>>() {
        Ok(records) => each(&records).ok_or(error),
        Err(_) => Err(error),
    }
}

/// As [`read`], for the execution of a prepared query, which may be of any service.
///
/// # Errors
/// The answer is not the result of a prepared query.
pub(super) fn read_executed(reply: &Reply) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    let Executed { nodes } = reply.json()?;
    match each(&nodes.unwrap_or_default()) {
        Some(parts) => Ok(parts),
        // Its error is that of the first record, in a text for the whole answer.
        None => Err(reply.json::<Vec<ServiceEntry>>().err().unwrap_or_else(|| reply.refusal())),
    }
}

/// None: there are records, and none of them looks like an instance.
fn each(records: &[Value]) -> Option<(Vec<ServiceEntry>, Vec<LeftOut>)> {
    let (mut entries, mut left_out) = (Vec::with_capacity(records.len()), Vec::new());
    let mut has_instances = records.is_empty();
    for record in records {
        let why = match ServiceEntry::deserialize(record) {
            Ok(entry) => {
                entries.push(entry);
                has_instances = true;
                continue;
            }
            Err(why) => why.to_string(),
        };
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
