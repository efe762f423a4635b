//! The contract: what Consul's HTTP API and DNS do, as far as discovery needs them, one row a behaviour.
//!
//! Every row runs on a real Consul, if one is found (`CONSUL_BIN`, `PATH`; demanded by `REQUIRE_CONSUL=1`), and on the embedded agent. A row
//! is written by asking the real one first. Where ours is better on purpose, the row says why and has an expectation for each of the two.
//!
//! The contract is that of Consul 1.8: its texts and status codes are what most clients in the field were written against.
//!
//! `CONTRACT=text` runs only the rows whose name contains the text. Not here: durability over restarts, and what only a cluster can show.

#![expect(clippy::unwrap_used, reason = "a row may panic")]

mod like;
mod probed;
mod rows;
mod standing;
mod table;
mod target;

use testkit::consul::{Binary, is_required, say};

use crate::{rows::ROWS, table::run, target::Kind};

/// The contract is this version's. Later ones say some things in other words, and clients must get on with both.
const VERSION: &str = "1.8.";

#[tokio::test(flavor = "multi_thread")]
async fn every_row_holds_on_every_target() {
    let mut failed = Vec::new();
    for kind in real().into_iter().chain([Kind::Embedded]) {
        failed.extend(run(&kind, ROWS).await);
    }
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}

fn real() -> Option<Kind> {
    let binary = Binary::find_or_skip()?;
    if binary.version().starts_with(VERSION) {
        return Some(Kind::Real(binary));
    }
    let other = format!("{binary} is not {VERSION}x, whose contract this is");
    assert!(!is_required(), "{other}");
    say(&format!("{other}: rows run on the embedded agent alone"));
    None
}
