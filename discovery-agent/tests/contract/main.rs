//! The contract: the behaviour of Consul's HTTP API and DNS, as far as discovery needs it, one row per behaviour.
//!
//! Every row runs on a real Consul, if one is found (`CONSUL_BIN`, `PATH`; required by `REQUIRE_CONSUL=1`), and on the embedded agent. A row is
//! derived from the answers of the real one. Where the embedded agent is deliberately better, the row contains the reason and one expectation
//! for each of the two.
//!
//! The contract is that of Consul 1.8: most clients were written against its texts and status codes.
//!
//! `CONTRACT=text` runs only the rows whose name contains the text. Not here: durability across restarts, and the behaviour of a cluster.

#![expect(clippy::unwrap_used, reason = "a failed row panics")]

mod like;
mod pending;
mod probed;
mod rows;
mod table;
mod target;

use testkit::consul::{Binary, is_required, print_note};

use crate::{rows::ROWS, table::run, target::Kind};

/// The version of the contract. Later versions differ in some texts, and clients must support both.
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
    print_note(&format!("{other}: rows use the embedded agent only"));
    None
}
