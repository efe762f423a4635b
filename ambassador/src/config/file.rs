//! A configuration as a TOML file: as by arguments, with options for each route.
//!
//! ```toml
#![doc = include_str!("example.toml")]
//! ```

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{Config, Listen, ProxyProtocol, Route, RouteOptions, Target, options::check_allowed};
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
    allow: Option<Spanned<Vec<Spanned<String>>>>,
    untrusted_callers: Option<Spanned<bool>>,
    head_timeout: Option<Spanned<String>>,
    client_timeout: Option<Spanned<String>>,
    response_timeout: Option<Spanned<String>>,
    stall_timeout: Option<Spanned<String>>,
    retry_timeout: Option<Spanned<String>>,
}

/// The routes that have an option.
#[derive(Clone, Copy)]
enum Scope {
    /// TCP and HTTP.
    Connections,
    Tcp,
    Http,
    HttpByHost,
}

/// An error in a file, and where it is: an offset in bytes.
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
        if let Some(first) = routes.iter().find(|it| it.conflicts_with(&route)) {
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
    if let Some(misplaced) = misplaced(written, &target) {
        return Err(misplaced);
    }
    let mut route =
        Route::new(listen, target).map_err(|err| wrong(&written.service, err.to_string()))?;
    options(written, &mut route.options)?;
    http_options(written, &mut route.options)?;
    Ok(route)
}

/// The first option that would have no effect.
fn misplaced(written: &WrittenRoute, target: &Target) -> Option<Wrong> {
    let keys = [
        ("connections", at(written.connections.as_ref()), Scope::Connections),
        ("connect_timeout", at(written.connect_timeout.as_ref()), Scope::Connections),
        ("idle_timeout", at(written.idle_timeout.as_ref()), Scope::Connections),
        ("linger", at(written.linger.as_ref()), Scope::Connections),
        ("proxy_protocol", at(written.proxy_protocol.as_ref()), Scope::Tcp),
        ("allow", at(written.allow.as_ref()), Scope::HttpByHost),
        ("untrusted_callers", at(written.untrusted_callers.as_ref()), Scope::Http),
        ("head_timeout", at(written.head_timeout.as_ref()), Scope::Http),
        ("client_timeout", at(written.client_timeout.as_ref()), Scope::Http),
        ("response_timeout", at(written.response_timeout.as_ref()), Scope::Http),
        ("stall_timeout", at(written.stall_timeout.as_ref()), Scope::Http),
        ("retry_timeout", at(written.retry_timeout.as_ref()), Scope::Http),
    ];
    keys.into_iter().find_map(|(key, at, scope)| {
        let at = at.filter(|_| !scope.has(target))?;
        Some(Wrong { at, text: format!("`{key}` has no effect here: {}", scope.expected()) })
    })
}

impl Scope {
    fn has(self, target: &Target) -> bool {
        match self {
            Self::Connections => !matches!(target, Target::Udp(_)),
            Self::Tcp => matches!(target, Target::Tcp(_)),
            Self::Http => target.is_http(),
            Self::HttpByHost => *target == Target::HttpByHost,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Connections => "expected a TCP port or a unix socket",
            Self::Tcp => "expected a service without http:, on a TCP port or a unix socket",
            Self::Http => "expected a service with http:, like http:web",
            Self::HttpByHost => "expected the service http:*",
        }
    }
}

/// Where a value is, if it is there.
fn at<T>(value: Option<&Spanned<T>>) -> Option<usize> {
    value.map(|value| value.span().start)
}

fn options(written: &WrittenRoute, options: &mut RouteOptions) -> Result<(), Wrong> {
    if let Some(max) = &written.connections {
        options.connections_max = at_least_one(max)?;
    }
    if let Some(text) = &written.connect_timeout {
        options.connect_timeout = timeout(text)?;
    }
    if let Some(text) = &written.idle_timeout {
        options.idle_timeout = Some(timeout(text)?);
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

fn http_options(written: &WrittenRoute, options: &mut RouteOptions) -> Result<(), Wrong> {
    if let Some(names) = &written.allow {
        options.allow = Some(allowed(names)?);
    }
    if let Some(are_untrusted) = &written.untrusted_callers {
        options.trusts_callers = !are_untrusted.get_ref();
    }
    for (text, option) in [
        (&written.head_timeout, &mut options.http.head),
        (&written.client_timeout, &mut options.http.client),
        (&written.response_timeout, &mut options.http.response),
        (&written.stall_timeout, &mut options.http.stall),
        (&written.retry_timeout, &mut options.http.retry),
    ] {
        if let Some(text) = text {
            *option = timeout(text)?;
        }
    }
    Ok(())
}

fn allowed(names: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    if names.get_ref().is_empty() {
        return Err(wrong(names, "expected at least one service".to_owned()));
    }
    let name = |name: &Spanned<String>| {
        of(name, check_allowed)?;
        Ok(name.get_ref().clone())
    };
    names.get_ref().iter().map(name).collect()
}

/// A duration of some length.
fn timeout(text: &Spanned<String>) -> Result<Duration, Wrong> {
    let timeout = duration(text)?;
    if timeout.is_zero() {
        return Err(wrong(text, "expected at least 1ms".to_owned()));
    }
    Ok(timeout)
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
