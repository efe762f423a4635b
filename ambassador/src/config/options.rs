//! The options of a route, and the bounds of their values.

use std::{ops::RangeInclusive, time::Duration};

use crate::{Error, http::is_named_by_host};

/// Of every timeout. The upper bound keeps deadlines within the range of the clock.
const TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// Limits and timeouts of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteOptions {
    /// Connections at once. Default 8192, at least 1. One more is closed at once with a reset.
    pub connections_max: usize,
    /// For a connection to an instance. Default 2 s, which tolerates a lost packet: the system sends it again after 1 s. Another instance is
    /// tried after it.
    pub connect_timeout: Duration,
    /// Without a byte in either direction for this long, a connection is reset. Default: no limit, as connections of databases are idle for
    /// hours. Peers that are gone are noticed by TCP keepalive. For HTTP: how long a connection may wait for its next request, by default 90 s,
    /// and the limit of a connection that was upgraded to another protocol; a request has the limits of [`http`](Self::http).
    pub idle_timeout: Option<Duration>,
    /// How long a connection may continue after its instance has left or its route was removed. Default: no limit. For HTTP: a response, and a
    /// connection that was upgraded to another protocol; others end with their request.
    pub linger: Option<Duration>,
    /// Whether a client address always gets the same instance, while the instances are the same. Default: no.
    pub sticky: bool,
    /// For HTTP: whether `X-Forwarded-For`, `-Proto` and `-Host` of a request are kept, and the client is appended. Default: yes. Otherwise they
    /// are replaced: for clients that are not trusted.
    pub trusts_callers: bool,
    /// For `http:*`: the only services that requests may name, in lower case. Default: all.
    pub allow: Option<Vec<String>>,
    /// For TCP: the header with which the instance gets the address of the client. Default: none.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// For HTTP: how long the parts of a request may take.
    pub http: HttpTimeouts,
}

/// How long the parts of an HTTP request may take. Each is from 1 ms to 24 hours.
///
/// The defaults are longer than those of discovery-lib, since the programs behind an ambassador do not know of them: pages of a wiki take
/// seconds, and clients on slow lines send for minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpTimeouts {
    /// For the head of a request, from its first byte. Default 10 s. The client gets 408.
    pub head: Duration,
    /// For the client to send the next bytes of a body, or to accept those of a response. Default 30 s. The client gets 408, or a reset after the
    /// head of the response.
    pub client: Duration,
    /// From the last byte of a request to the head of its response. Default 30 s. Another instance is tried if the method allows that; otherwise
    /// the client gets 504.
    pub response: Duration,
    /// For the instance to accept the next bytes of a request, or to send those of a body. Default 60 s. The client gets 504, or a reset after
    /// the head of the response.
    pub stall: Duration,
    /// How long after a request another instance may be tried. Default 60 s.
    pub retry: Duration,
}

/// A version of HAProxy's PROXY protocol: a header in front of a connection, with the addresses of the client.
/// <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            connect_timeout: Duration::from_secs(2),
            idle_timeout: None,
            linger: None,
            sticky: false,
            trusts_callers: true,
            allow: None,
            proxy_protocol: None,
            http: HttpTimeouts::default(),
        }
    }
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            client: Duration::from_secs(30),
            response: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            retry: Duration::from_secs(60),
        }
    }
}

impl RouteOptions {
    /// # Errors
    /// A value is out of its bounds. The error has its key in a file.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.connections_max == 0 {
            return Err(Error::config("connections is 0: expected at least 1"));
        }
        let HttpTimeouts { head, client, response, stall, retry } = self.http;
        let timeouts = [
            ("connect_timeout", Some(self.connect_timeout)),
            ("idle_timeout", self.idle_timeout),
            ("head_timeout", Some(head)),
            ("client_timeout", Some(client)),
            ("response_timeout", Some(response)),
            ("stall_timeout", Some(stall)),
            ("retry_timeout", Some(retry)),
            // No time at all is a value, too: connections are cut at once.
            ("linger", self.linger.map(|linger| linger.max(*TIMEOUT.start()))),
        ];
        for (key, timeout) in timeouts {
            if let Some(timeout) = timeout.filter(|timeout| !TIMEOUT.contains(timeout)) {
                let text = format!("{key} is {timeout:?}: expected 1ms to 24 hours");
                return Err(Error::config(text));
            }
        }
        match &self.allow {
            Some(names) if names.is_empty() => {
                Err(Error::config("allow is empty: expected at least one service"))
            }
            names => names.iter().flatten().try_for_each(|name| check_allowed(name)),
        }
    }
}

/// # Errors
/// No request can name this service.
pub(super) fn check_allowed(name: &str) -> Result<(), Error> {
    if is_named_by_host(name) {
        return Ok(());
    }
    Err(Error::config(format!(
        "`{name}` can't be named by the Host of a request: expected 1 to 63 lower-case letters, digits, - and _"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set: impl FnOnce(&mut RouteOptions), expected: &str) {
        let mut options = RouteOptions::default();
        set(&mut options);
        let shown = options.check().map_or_else(|err| err.to_string(), |()| "good".to_owned());
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_within_their_bounds_are_accepted() {
        check(|_| {}, "good");
        check(|it| it.linger = Some(Duration::ZERO), "good");
        check(|it| it.http.retry = Duration::from_millis(1), "good");
        check(|it| it.idle_timeout = Some(Duration::from_secs(86_400)), "good");
        check(|it| it.allow = Some(vec!["my-app_2".into(), "r".repeat(63)]), "good");
    }

    #[test]
    fn a_value_out_of_its_bounds_is_an_error_that_names_them() {
        let (zero, max) = (Duration::ZERO, Duration::MAX);
        check(|it| it.connections_max = 0, "connections is 0: expected at least 1");
        check(|it| it.connect_timeout = zero, "connect_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.idle_timeout = Some(zero), "idle_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.http.head = zero, "head_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.http.client = zero, "client_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.http.response = zero, "response_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.http.stall = zero, "stall_timeout is 0ns: expected 1ms to 24 hours");
        check(|it| it.http.retry = zero, "retry_timeout is 0ns: expected 1ms to 24 hours");
        let text = "linger is 18446744073709551615.999999999s: expected 1ms to 24 hours";
        check(|it| it.linger = Some(max), text);
    }

    #[test]
    fn only_names_that_a_host_can_have_are_allowed() {
        check(|it| it.allow = Some(vec![]), "allow is empty: expected at least one service");
        for name in ["", "Web", "web.", "web:80", "web.service.consul", "w b", &"r".repeat(64)] {
            check(
                |it| it.allow = Some(vec!["rng".into(), name.into()]),
                &format!(
                    "`{name}` can't be named by the Host of a request: expected 1 to 63 lower-case letters, digits, - and _"
                ),
            );
        }
    }
}
