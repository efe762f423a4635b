//! Answers as JSON.

use discovery::Instance;
use serde_json::{Value, json};

/// An instance. DNS has no node, tags, meta or status: there they are empty, and the status is left out.
pub(crate) fn instance(seen: &Instance) -> Value {
    json!({
        "id": seen.id.as_str(),
        "node": &*seen.node,
        "host": seen.host.to_string(),
        "port": seen.port,
        "status": seen.status.to_string(),
        "weight": seen.weight(),
        "tags": seen.tags,
        "meta": seen.meta,
    })
}
