//! The list of instances that an agent answers, read record by record: one that can't be read leaves the others alone.

use consul_wire::service::ServiceEntry;
use serde::Deserialize as _;
use serde_json::Value;

use super::{LeftOut, transport::Reply};
use crate::Error;

/// The records that can be read, and those that can't.
///
/// # Errors
/// The answer is no list, or one of something else than instances.
pub(super) fn read(reply: &Reply) -> Result<(Vec<ServiceEntry>, Vec<LeftOut>), Error> {
    // Nearly always all of them can be.
    let unread = match reply.json() {
        Ok(all) => return Ok((all, Vec::new())),
        Err(err) => err,
    };
    let Ok(records) = reply.json::<Vec<Value>>() else { return Err(unread) };
    let (mut entries, mut left_out) = (Vec::with_capacity(records.len()), Vec::new());
    for record in records {
        match ServiceEntry::deserialize(&record) {
            Ok(entry) => entries.push(entry),
            Err(why) => match (&record["Node"]["Node"], &record["Service"]["ID"]) {
                (Value::String(node), Value::String(id)) => {
                    left_out.push(LeftOut::new(node, id, why.to_string()));
                }
                // It is no instance at all.
                _ => return Err(unread),
            },
        }
    }
    Ok((entries, left_out))
}
