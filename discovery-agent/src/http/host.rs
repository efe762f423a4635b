//! The hosts for which the API answers: IP addresses, `localhost` and the configured names.
//!
//! This prevents DNS rebinding: a web page whose own name resolves to 127.0.0.1 could otherwise use the API through the browser of its reader,
//! which takes the API for the server of the page. The page cannot choose the host that the browser sends.

use std::net::{IpAddr, Ipv6Addr};

use http::{StatusCode, header::HOST, request::Parts, uri::Authority};

use super::reply::Failure;

/// The configured names, in lower case and without a trailing dot.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| plain(name)).collect())
    }

    /// Refuses a request for a host that is not served here. A host in the request target takes precedence over the `Host` header (RFC 9112
    /// section 3.2.2). A request without a host does not come from a browser.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Failure> {
        if let Some(target) = request.uri.authority() {
            return self.serve(target);
        }
        for host in request.headers.get_all(HOST).iter().filter(|host| !host.is_empty()) {
            let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            let named =
                authority.ok_or_else(|| Failure::bad("Host is not a name or an IP address"))?;
            self.serve(&named)?;
        }
        Ok(())
    }

    fn serve(&self, authority: &Authority) -> Result<(), Failure> {
        let host = plain(host_of(authority));
        if is_ip(&host) || is_localhost(&host) || self.0.contains(&host) {
            return Ok(());
        }
        let text = format!(
            "The host {host:?} is not served here: use an IP address or localhost, or allow the name with `discovery agent --allow-host {host}`"
        );
        Err(Failure::new(StatusCode::FORBIDDEN, text))
    }
}

/// Everything but the port and the user. `Authority::host` ends at a bracket, without regard to what follows it.
fn host_of(authority: &Authority) -> &str {
    let text = authority.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_, text)| text);
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_ip(host: &str) -> bool {
    let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    six.map_or_else(|| host.parse::<IpAddr>().is_ok(), |six| six.parse::<Ipv6Addr>().is_ok())
}

/// Resolvers do not ask the network for these names (RFC 6761 section 6.3).
fn is_localhost(host: &str) -> bool {
    host.strip_suffix("localhost").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// Whether a request for this target with these `Host` headers is served where `consul` is configured.
    fn is_served(target: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Hosts::new(&["Consul.".to_owned()]).check(&parts).is_ok()
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_served() {
        for (host, served) in [
            ("127.0.0.1", true),
            ("127.0.0.1:8500", true),
            ("192.0.2.1:1", true),
            ("[::1]", true),
            ("[::1]:8500", true),
            ("localhost", true),
            ("LocalHost.:8500", true),
            ("app.localhost:8500", true),
            ("consul", true),
            ("CONSUL:8500", true),
            ("consul.:8500", true),
            ("", true),
            ("evil.example", false),
            ("evil.example:8500", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("notlocalhost", false),
            ("consul.evil.example", false),
            ("my.consul", false),
            ("127.0.0.1@evil.example", false),
            ("[::1].evil.example", false),
            ("evil example", false),
            ("127.0.0.1, evil.example", false),
        ] {
            assert_eq!(is_served("/v1/status/leader", &[host]), served, "{host}");
        }
    }

    #[test]
    fn every_host_counts_and_that_of_the_target_comes_first() {
        assert!(is_served("/", &[]), "HTTP/1.0");
        assert!(!is_served("/", &["localhost", "evil.example"]));
        assert!(!is_served("http://evil.example/", &["localhost"]));
        assert!(is_served("http://localhost:8500/", &["evil.example"]));
    }
}
