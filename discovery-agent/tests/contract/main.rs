//! The contract: what Consul's HTTP API and DNS do, as far as discovery needs them, one row a behaviour.
//!
//! Every row runs on a real Consul, if one is found (`CONSUL_BIN`, `PATH`; demanded by `REQUIRE_CONSUL=1`), and on the embedded agent. A row
//! is written by asking the real one first. Where ours is better on purpose, the row says why and has an expectation for each of the two.
//!
//! `CONTRACT=text` runs only the rows whose name contains the text. Not here: durability over restarts, and what only a cluster can show.

#![expect(clippy::unwrap_used, reason = "a row may panic")]

mod like;
mod rows;
mod standing;
mod table;
mod target;

use testkit::consul::Binary;

use crate::{rows::ROWS, table::run, target::Kind};

#[tokio::test(flavor = "multi_thread")]
async fn every_row_holds_on_every_target() {
    let real = Binary::find_or_skip().map(Kind::Real);
    let mut failed = Vec::new();
    for kind in real.into_iter().chain([Kind::Embedded]) {
        failed.extend(run(&kind, ROWS).await);
    }
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}
