//! Logging to stderr. RUST_LOG sets the level, LOG_FORMAT the format.

use std::{
    env,
    io::{self, IsTerminal},
};

// Not EnvFilter: its filters by span need a regex engine, which adds many seconds to each build.
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Starts logging to stderr, filtered by RUST_LOG (by `fallback` if that is unset), as text, or with `LOG_FORMAT=json` as one JSON object
/// per line. A second call has no effect.
///
/// # Errors
/// A variable is invalid. The text names it, its value and the accepted format.
pub fn log(fallback: &str) -> Result<(), String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let level = set("RUST_LOG");
    let filter: Targets = level.as_deref().unwrap_or(fallback).parse().map_err(|_| {
        let level = level.as_deref().unwrap_or_default();
        format!("RUST_LOG is {level:?}: expected a level like info, or target=level")
    })?;
    let log = fmt::layer().with_writer(io::stderr);
    // The layer itself honours NO_COLOR.
    let log = if io::stderr().is_terminal() { log } else { log.with_ansi(false) };
    let log = match set("LOG_FORMAT").as_deref() {
        None | Some("text") => log.boxed(),
        Some("json") => log.json().flatten_event(true).boxed(),
        Some(other) => return Err(format!("LOG_FORMAT is {other:?}: expected text or json")),
    };
    let done = tracing_subscriber::registry().with(filter).with(log).try_init();
    // An error means that a subscriber is already set: keep it.
    done.or(Ok(()))
}
