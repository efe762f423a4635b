//! What the embedded agent is yet to do. A row that holds and is still listed fails, so that the list only shrinks; it goes with its last row.

/// Names of rows.
pub(crate) const PENDING: &[&str] = &[];
