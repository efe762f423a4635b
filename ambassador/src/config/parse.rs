//! Routes as text: `LISTEN=SERVICE`, as in arguments.
//!
//! ```text
//! LISTEN   [udp:]PORT | [udp:]ADDRESS:PORT | PATH       a path has a slash
//! SERVICE  [http:]NAME[,tag=TAG]...[,dc=NAME] | http:*
//! ```

use std::{
    net::{Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    str::FromStr,
};

use discovery::Query;

use super::{Listen, ProxyProtocol, Route, Target};
use crate::Error;

const UDP: &str = "udp:";
const HTTP: &str = "http:";
/// The longest path of a unix socket, in bytes: the system's limit.
const PATH_MAX: usize = 107;

impl FromStr for Route {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((listen, target)) = text.split_once('=') else {
            return Err(Error::config("expected LISTEN=SERVICE, like 6379=redis"));
        };
        let listen: Listen = listen.parse()?;
        let target = Target::parse(target, &listen)?;
        Self::new(listen, target)
    }
}

impl FromStr for Listen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(port) = text.strip_prefix(UDP) {
            return address(port).map(Self::Udp).ok_or_else(|| {
                Error::config(format!(
                    "`{port}` is not a UDP port: expected PORT or IP:PORT after udp:"
                ))
            });
        }
        if text.contains('/') {
            let path = PathBuf::from(text);
            if path.as_os_str().as_bytes().len() > PATH_MAX {
                return Err(Error::config(format!(
                    "`{text}` is longer than {PATH_MAX} bytes, the limit for the path of a unix socket"
                )));
            }
            return Ok(Self::Unix(path));
        }
        address(text).map(Self::Tcp).ok_or_else(|| {
            Error::config(format!(
                "`{text}` can't be listened on: expected PORT, IP:PORT or a path with a slash, like 6379, 127.0.0.1:6379 or ./redis.sock"
            ))
        })
    }
}

/// `PORT` means all addresses of this machine: `[::]`, which accepts IPv4 too.
fn address(text: &str) -> Option<SocketAddr> {
    let is_port = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_port {
        let port = text.parse().ok()?;
        return Some((Ipv6Addr::UNSPECIFIED, port).into());
    }
    text.parse().ok()
}

impl Target {
    /// What follows the `=`. Whether a plain service is called by TCP or UDP depends on the listener.
    ///
    /// # Errors
    /// It is no service.
    pub fn parse(text: &str, listen: &Listen) -> Result<Self, Error> {
        match (text.strip_prefix(HTTP), listen) {
            (Some(_), Listen::Udp(_)) => {
                Err(Error::config("http: is not for UDP: expected a service, like udp:53=dns"))
            }
            (Some("*"), _) => Ok(Self::HttpByHost),
            (Some(service), _) => query(service).map(Self::Http),
            (None, Listen::Udp(_)) => query(text).map(Self::Udp),
            (None, _) => query(text).map(Self::Tcp),
        }
    }
}

/// `NAME[,tag=TAG]...[,dc=NAME]`
fn query(text: &str) -> Result<Query, Error> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    let name = program::service_name(name)
        .map_err(|expected| Error::config(format!("`{name}` is not a service: {expected}")))?;
    parts.try_fold(Query::new(name), |query, part| match part.split_once('=') {
        Some(("tag", tag)) if !tag.is_empty() => Ok(query.tag(tag)),
        Some(("dc", datacenter)) if !datacenter.is_empty() => Ok(query.datacenter(datacenter)),
        _ => Err(Error::config(format!(
            "`{part}` is not a condition: expected tag=TAG or dc=DATACENTER after the service"
        ))),
    })
}

impl FromStr for ProxyProtocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(Error::config("expected v1 or v2")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = text.parse::<Route>().map_or_else(|err| err.to_string(), |it| it.to_string());
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn a_route_is_parsed_and_displayed() {
        for (text, shown) in [
            ("6379=redis", "[::]:6379=redis"),
            ("0=redis", "[::]:0=redis"),
            ("127.0.0.1:3306=mariadb", "127.0.0.1:3306=mariadb"),
            ("[::1]:3306=mariadb", "[::1]:3306=mariadb"),
            ("./run/app.sock=app", "./run/app.sock=app"),
            ("/run/app.sock=http:app", "/run/app.sock=http:app"),
            ("80=http:wiki", "[::]:80=http:wiki"),
            ("80=http:*", "[::]:80=http:*"),
            ("udp:53=dns", "udp:[::]:53=dns"),
            ("udp:127.0.0.1:53=dns", "udp:127.0.0.1:53=dns"),
        ] {
            check(text, shown);
        }
    }

    #[test]
    fn conditions_narrow_the_query() {
        let route: Route = "6379=redis,tag=primary,tag=v7,dc=dc2".parse().unwrap();
        let expected = Query::new("redis").tag("primary").tag("v7").datacenter("dc2");
        assert_eq!(route.target.query(), Some(&expected));
    }

    #[test]
    fn a_wrong_route_is_an_error_that_says_what_is_expected() {
        let name = "expected 1 to 63 letters, digits, -, _ and .";
        let listen = "expected PORT, IP:PORT or a path with a slash, like 6379, 127.0.0.1:6379 or ./redis.sock";
        for (text, expected) in [
            ("", "expected LISTEN=SERVICE, like 6379=redis".to_owned()),
            ("6379", "expected LISTEN=SERVICE, like 6379=redis".to_owned()),
            ("redis=6379", format!("`redis` can't be listened on: {listen}")),
            ("=redis", format!("`` can't be listened on: {listen}")),
            ("65536=redis", format!("`65536` can't be listened on: {listen}")),
            ("localhost:1=redis", format!("`localhost:1` can't be listened on: {listen}")),
            ("6379=", format!("`` is not a service: {name}")),
            ("6379=a b", format!("`a b` is not a service: {name}")),
            ("80=http:", format!("`` is not a service: {name}")),
            ("80=http:w*", format!("`w*` is not a service: {name}")),
            ("80=*", format!("`*` is not a service: {name}")),
            ("udp:x=dns", "`x` is not a UDP port: expected PORT or IP:PORT after udp:".to_owned()),
            (
                "udp:./a=dns",
                "`./a` is not a UDP port: expected PORT or IP:PORT after udp:".to_owned(),
            ),
            (
                "udp:53=http:dns",
                "http: is not for UDP: expected a service, like udp:53=dns".to_owned(),
            ),
            (
                "6379=redis,primary",
                "`primary` is not a condition: expected tag=TAG or dc=DATACENTER after the service"
                    .to_owned(),
            ),
            (
                "6379=redis,tag=",
                "`tag=` is not a condition: expected tag=TAG or dc=DATACENTER after the service"
                    .to_owned(),
            ),
        ] {
            check(text, &expected);
        }
        let path = format!("/{}", "a".repeat(PATH_MAX));
        check(
            &format!("{path}=redis"),
            &format!("`{path}` is longer than 107 bytes, the limit for the path of a unix socket"),
        );
    }
}
