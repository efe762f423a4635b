//! The address of an agent, in the format of `CONSUL_HTTP_ADDR`. Parsing only: names are resolved when a connection is opened.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{
    Host,
    error::{Error, Kind},
    tls::NO_TLS,
};

/// The port of Consul's HTTP API.
const HTTP_PORT: u16 = 8500;
/// The maximum length of a name, and of a label of it (RFC 1035, 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// The address at which an agent listens for HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// With or without TLS.
        scheme: Scheme,
        /// The host.
        host: Host,
        /// Its port.
        port: u16,
        /// The prefix of `/v1/...` in each path: empty, or `/prefix` for a reverse proxy.
        prefix: String,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// How HTTP is sent to an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// In plain text.
    #[default]
    Http,
    /// Over TLS (feature `tls`).
    Https,
}

impl Scheme {
    /// The port of a URL without one, as for Consul's own command.
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl Default for Address {
    /// Consul's own: 127.0.0.1:8500.
    fn default() -> Self {
        Self::tcp(Self::LOCAL.into(), HTTP_PORT)
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(addr: std::net::SocketAddr) -> Self {
        Self::tcp(Host::Ip(addr.ip()), addr.port())
    }
}

impl fmt::Display for Address {
    /// `host:port`, `https://host:port` or `unix://path`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { scheme: Scheme::Http, host, port, prefix } => {
                write!(f, "{host}:{port}{prefix}")
            }
            Self::Tcp { scheme, host, port, prefix } => {
                write!(f, "{scheme}://{host}:{port}{prefix}")
            }
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// `host:port`, `:port`, `http://host[:port][/prefix]`, `https://host[:port][/prefix]` or `unix:///path`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::new(Kind::Setting, why);
        let Some((scheme, rest)) = text.split_once("://") else {
            return match split_host_port(text) {
                Some((host, Some(port))) => Ok(Self::tcp(host.unwrap_or(Self::LOCAL.into()), port)),
                Some((Some(host), None)) => {
                    Err(wrong(&format!("a port is missing, perhaps {host}:{HTTP_PORT}")))
                }
                _ => Err(wrong(TAKES)),
            };
        };
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" if !rest.is_empty() => return Ok(Self::Unix(rest.into())),
            _ => return Err(wrong(TAKES)),
        };
        if rest.contains('@') {
            return Err(wrong(NO_USER));
        }
        let (place, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_host_port(place).ok_or_else(|| wrong(TAKES))?;
        let address = Self::Tcp {
            scheme,
            host: host.unwrap_or(Self::LOCAL.into()),
            port: port.unwrap_or(scheme.port()),
            prefix: prefix.trim_end_matches('/').to_owned(),
        };
        address.check().map_err(|_| wrong(NO_TLS))?;
        Ok(address)
    }
}

/// The format, for errors.
const TAKES: &str = "it takes host:port, http://host:port, https://host:port or unix:///path";
/// The error for one with a user name.
const NO_USER: &str = "a user and a password belong in CONSUL_HTTP_AUTH, as user:password";

impl Address {
    /// The host of an address without one.
    pub(crate) const LOCAL: &str = "127.0.0.1";

    /// The same place, over TLS. A unix socket stays as it is: it has no network to protect.
    pub(crate) fn over_tls(mut self) -> Self {
        if let Self::Tcp { scheme, .. } = &mut self {
            *scheme = Scheme::Https;
        }
        self
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { scheme: Scheme::Https, .. })
    }

    /// # Errors
    /// It needs TLS, and this library was compiled without.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_tls() && !cfg!(feature = "tls") {
            return Err(Error::new(Kind::Setting, format!("{self}: {NO_TLS}")));
        }
        Ok(())
    }

    fn tcp(host: Host, port: u16) -> Self {
        Self::Tcp { scheme: Scheme::Http, host, port, prefix: String::new() }
    }

    /// The start of a request's URL. The host in that of a unix socket is never resolved.
    pub(super) fn base(&self) -> String {
        match self {
            Self::Tcp { scheme, host, port, prefix } => {
                format!("{scheme}://{host}:{port}{prefix}")
            }
            Self::Unix(_) => "http://localhost".to_owned(),
        }
    }
}

/// `host`, `host:port` or `:port`, with an IPv6 address in brackets if a port follows. None if it is none of them.
pub(crate) fn split_host_port(text: &str) -> Option<(Option<Host>, Option<u16>)> {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((Some(text.into()), None));
    }
    let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after_bracket..].rfind(':') {
        Some(at) => {
            let (host, port) = text.split_at(after_bracket + at);
            (host, Some(port[1..].parse().ok()?))
        }
        None => (text, None),
    };
    match host {
        "" => port.map(|port| (None, Some(port))),
        _ => is_host(host).then(|| (Some(host.into()), port)),
    }
}

/// An IPv4 address, an IPv6 address in brackets, or a valid host name. A number alone is a port without its colon, so it is none of them.
pub(crate) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let labels = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| (1..=LABEL_MAX).contains(&label.len());
    let is_short = labels.len() <= NAME_MAX && labels.split('.').all(fits);
    !is_number && is_short && text.chars().all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_like_those_of_the_consul_command() {
        for (text, expected) in [
            ("127.0.0.1:8500", "127.0.0.1:8500"),
            (":8501", "127.0.0.1:8501"),
            ("consul.example:85", "consul.example:85"),
            ("[::1]:8500", "[::1]:8500"),
            ("http://consul:8500", "consul:8500"),
            ("http://consul:8500/", "consul:8500"),
            ("http://consul", "consul:80"),
            ("http://[fd00::1]:8500/a/b/", "[fd00::1]:8500/a/b"),
            ("unix:///run/consul.sock", "unix:///run/consul.sock"),
            ("consul", "a port is missing, perhaps consul:8500"),
            ("::1", "a port is missing, perhaps [::1]:8500"),
            ("https://user:secret@consul:8501/", NO_USER),
            ("ftp://consul:8500", TAKES),
            ("unix://", TAKES),
            ("http://", TAKES),
            ("http://user@consul", NO_USER),
            ("http://user:secret@consul:8500/", NO_USER),
            ("consul:http", TAKES),
            ("consul:8500/v1", TAKES),
            ("", TAKES),
        ] {
            let read = text.parse::<Address>().map_or_else(|e| e.to_string(), |a| a.to_string());
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn https_is_tls_or_names_the_feature() {
        for (text, shown) in [
            ("https://consul:8501", "https://consul:8501"),
            ("https://consul", "https://consul:443"),
            ("https://[fd00::1]:8501/a/", "https://[fd00::1]:8501/a"),
            ("https://:8501", "https://127.0.0.1:8501"),
        ] {
            let expected = if cfg!(feature = "tls") { shown } else { NO_TLS };
            let read = text.parse::<Address>().map_or_else(|e| e.to_string(), |a| a.to_string());
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn hosts_and_ports_are_split() {
        for (text, expected) in [
            ("db", Some((Some("db"), None))),
            ("db:80", Some((Some("db"), Some(80)))),
            (":80", Some((None, Some(80)))),
            ("10.0.0.1:80", Some((Some("10.0.0.1"), Some(80)))),
            ("::1", Some((Some("::1"), None))),
            ("[::1]", Some((Some("::1"), None))),
            ("[::1]:80", Some((Some("::1"), Some(80)))),
            ("[::1:80", None),
            ("[db]:80", None),
            ("a:b:80", None),
            ("db:http", None),
            ("db:70000", None),
            ("db:", None),
            (":", None),
            ("", None),
            ("a b", None),
            ("8500", None),
            ("user@db:80", None),
            ("db.example.:80", Some((Some("db.example."), Some(80)))),
            ("db..example:80", None),
            (".:80", None),
        ] {
            let expected = expected.map(|(host, port)| (host.map(Host::from), port));
            assert_eq!(split_host_port(text), expected, "{text:?}");
        }
    }
}
