//! The log of a program, on stderr: how much by RUST_LOG, in which form by LOG_FORMAT.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, fmt};

/// Logs to stderr from here on: what RUST_LOG lets through (`fallback` where it is not set), as text, or with `LOG_FORMAT=json` as one JSON
/// object a line. A second call changes nothing.
///
/// # Errors
/// A variable that can't be understood, as one sentence that names it, its value, and what would be right.
pub fn log(fallback: &str) -> Result<(), String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = set("RUST_LOG");
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(fallback)).map_err(|_| {
        let wanted = wanted.as_deref().unwrap_or_default();
        format!("RUST_LOG is {wanted:?}: it takes a level like info, or target=level")
    })?;
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    // The builder itself heeds NO_COLOR.
    let log = if io::stderr().is_terminal() { log } else { log.with_ansi(false) };
    let done = match set("LOG_FORMAT").as_deref() {
        None | Some("text") => log.try_init(),
        Some("json") => log.json().flatten_event(true).try_init(),
        Some(other) => return Err(format!("LOG_FORMAT is {other:?}: it takes text or json")),
    };
    // An error here says that somebody else has set up the log: theirs stays.
    done.or(Ok(()))
}
