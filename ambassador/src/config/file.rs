//! A configuration as a TOML file: what the arguments say, with options for each route.
//!
//! ```toml
#![doc = include_str!("example.toml")]
//! ```

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{Config, Listen, ProxyProtocol, Route, RouteOptions, Target};
use crate::Error;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    connections: Option<Spanned<i64>>,
    #[serde(default)]
    route: Vec<Spanned<WrittenRoute>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoute {
    listen: Spanned<String>,
    service: Spanned<String>,
    connections: Option<Spanned<i64>>,
    connect_timeout: Option<Spanned<String>>,
    idle_timeout: Option<Spanned<String>>,
    linger: Option<Spanned<String>>,
    sticky: Option<bool>,
    proxy_protocol: Option<Spanned<String>>,
}

/// What is wrong in a file, and where: an offset in bytes.
struct Wrong {
    at: usize,
    text: String,
}

impl Config {
    /// Reads a TOML file. The crate's documentation has an example.
    ///
    /// # Errors
    /// It can't be read or used. The error has the line, and what would be right ([`Error::is_config`]).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let refused = |err: std::io::Error| Error::config(format!("cannot read {shown}: {err}"));
        let mut text = String::new();
        let file = File::open(path).map_err(refused)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(refused)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::config(format!("{shown} has more than {FILE_BYTES_MAX} bytes")));
        }
        Self::from_toml(&text).map_err(|err| Error::config(format!("{shown} {err}")))
    }

    /// As [`Config::read`], from the contents of a file.
    ///
    /// # Errors
    /// It can't be used. The error begins with `line N: `.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|Wrong { at, text: why }| {
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            Error::config(format!("line {line}: {why}"))
        })
    }
}

fn parse(text: &str) -> Result<Config, Wrong> {
    let written: Written = toml::from_str(text).map_err(|err| Wrong {
        at: err.span().map_or(0, |span| span.start),
        text: one_line(err.message()),
    })?;
    let mut routes: Vec<Route> = Vec::with_capacity(written.route.len());
    for written in &written.route {
        let listen = &written.get_ref().listen;
        let route = route(written.get_ref())?;
        if let Some(first) = routes.iter().find(|it| it.is_in_the_way_of(&route)) {
            return Err(wrong(
                listen,
                format!(
                    "{} is listed twice, for {} and for {}",
                    route.listen, first.target, route.target
                ),
            ));
        }
        routes.push(route);
    }
    let at_end = |err: Error| Wrong { at: 0, text: err.to_string() };
    if routes.is_empty() {
        return Err(Wrong {
            at: 0,
            text: "there is no route: expected at least one [[route]]".to_owned(),
        });
    }
    let mut config = Config::new(routes).map_err(at_end)?;
    if let Some(max) = &written.connections {
        config.connections_max = at_least_one(max)?;
    }
    Ok(config)
}

fn route(written: &WrittenRoute) -> Result<Route, Wrong> {
    let listen: Listen = of(&written.listen, str::parse)?;
    let target = of(&written.service, |text| Target::parse(text, &listen))?;
    let mut route =
        Route::new(listen, target).map_err(|err| wrong(&written.service, err.to_string()))?;
    options(written, &mut route.options)?;
    Ok(route)
}

fn options(written: &WrittenRoute, options: &mut RouteOptions) -> Result<(), Wrong> {
    if let Some(max) = &written.connections {
        options.connections_max = at_least_one(max)?;
    }
    if let Some(text) = &written.connect_timeout {
        options.connect_timeout = duration(text)?;
    }
    if let Some(text) = &written.idle_timeout {
        options.idle_timeout = Some(duration(text)?);
    }
    if let Some(text) = &written.linger {
        options.linger = Some(duration(text)?);
    }
    if let Some(is_sticky) = written.sticky {
        options.sticky = is_sticky;
    }
    if let Some(text) = &written.proxy_protocol {
        options.proxy_protocol = Some(of(text, str::parse::<ProxyProtocol>)?);
    }
    Ok(())
}

fn duration(text: &Spanned<String>) -> Result<Duration, Wrong> {
    of(text, program::duration)
}

fn at_least_one(number: &Spanned<i64>) -> Result<usize, Wrong> {
    let max = usize::try_from(*number.get_ref()).ok().filter(|max| *max > 0);
    max.ok_or_else(|| wrong(number, "expected at least 1 connection".to_owned()))
}

/// Parses a value; an error is at its line.
fn of<T, E: ToString>(
    text: &Spanned<String>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Wrong> {
    parse(text.get_ref()).map_err(|err| wrong(text, err.to_string()))
}

fn wrong<T>(value: &Spanned<T>, text: String) -> Wrong {
    Wrong { at: value.span().start, text }
}

fn one_line(text: &str) -> String {
    text.trim().lines().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
