//! Checks that look: one task each, for as long as the check is registered as it is.

use std::sync::Arc;

use crate::engine::Engine;

/// Runs every check that looks, for as long as it is polled.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        engine.retargeted.notified().await;
    }
}
