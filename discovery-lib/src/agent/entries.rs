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

/// The records of a list that can be parsed, and those that can't.
///
/// # Errors
/// The answer is not a list of instances.
pub(super) fn read(reply: &Reply) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
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

/// As [`read`], for the execution of a prepared query.
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

/// None: a record is not an instance at all.
fn each(records: &[Value]) -> Option<(Vec<ServiceEntry>, Vec<LeftOut>)> {
    let (mut entries, mut left_out) = (Vec::with_capacity(records.len()), Vec::new());
    for record in records {
        match ServiceEntry::deserialize(record) {
            Ok(entry) => entries.push(entry),
            Err(why) => match (&record["Node"]["Node"], &record["Service"]["ID"]) {
                (Value::String(node), Value::String(id)) => {
                    left_out.push(LeftOut::new(node, id, why.to_string()));
                }
                _ => return None,
            },
        }
    }
    Some((entries, left_out))
}
