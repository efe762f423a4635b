//! The log of a program, on stderr: how much by RUST_LOG, in which form by LOG_FORMAT.

use std::{
    env,
    io::{self, IsTerminal},
};

// Not EnvFilter, which brings a regex engine for filters by span: many seconds of each build.
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Logs to stderr from here on: what RUST_LOG lets through (`fallback` where it is not set), as text, or with `LOG_FORMAT=json` as one JSON
/// object a line. A second call changes nothing.
///
/// # Errors
/// A variable that can't be understood, as one sentence that names it, its value, and what would be right.
pub fn log(fallback: &str) -> Result<(), String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = set("RUST_LOG");
    let filter: Targets = wanted.as_deref().unwrap_or(fallback).parse().map_err(|_| {
        let wanted = wanted.as_deref().unwrap_or_default();
        format!("RUST_LOG is {wanted:?}: it takes a level like info, or target=level")
    })?;
    let log = fmt::layer().with_writer(io::stderr);
    // The layer itself heeds NO_COLOR.
    let log = if io::stderr().is_terminal() { log } else { log.with_ansi(false) };
    let log = match set("LOG_FORMAT").as_deref() {
        None | Some("text") => log.boxed(),
        Some("json") => log.json().flatten_event(true).boxed(),
        Some(other) => return Err(format!("LOG_FORMAT is {other:?}: it takes text or json")),
    };
    let done = tracing_subscriber::registry().with(filter).with(log).try_init();
    // An error here says that somebody else has set up the log: theirs stays.
    done.or(Ok(()))
}
