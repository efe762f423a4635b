//! The settings of a program for Consul, from the variables that Consul's own command reads, and `CONSUL_DNS_ADDR`.
//!
//! A value that can't be parsed is an error at once, never a default. An empty variable counts as not set.
//! Source: <https://developer.hashicorp.com/consul/commands#environment-variables>.

use std::{fmt, net::SocketAddr};

use http::HeaderValue;

use crate::{
    Host, Source,
    agent::{Address, AgentSettings, BasicAuth, NO_TLS, Token, split_host_port},
    error::{Error, Kind},
    redact::without_secrets,
};

/// The port of Consul's DNS.
const DNS_PORT: u16 = 8600;

/// How to reach Consul. Its fields can be changed after [`Settings::new`], [`Settings::from_env`] or [`Settings::from_vars`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The agent's HTTP API.
    pub agent: AgentSettings,
    /// The agent's DNS.
    pub dns: DnsAddress,
    /// The datacenter of queries that name none. None: the agent's own. Not set by a variable.
    pub datacenter: Option<String>,
    /// The source of queries that name none. Default: [`Source::Catalog`]. Not set by a variable.
    pub source: Source,
}

/// The address of Consul's DNS, which is used over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsAddress {
    /// Default: the agent's host.
    pub host: Host,
    /// Default: 8600.
    pub port: u16,
}

impl Default for DnsAddress {
    fn default() -> Self {
        Self::of(&Address::default())
    }
}

impl From<SocketAddr> for DnsAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(Host::Ip(address.ip()), address.port())
    }
}

impl fmt::Display for DnsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl DnsAddress {
    /// DNS on this host and port.
    pub fn new(host: impl Into<Host>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The DNS of the agent at this address.
    pub fn of(agent: &Address) -> Self {
        let host = match agent {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix(_) => Address::LOCAL.into(),
        };
        Self::new(host, DNS_PORT)
    }
}

impl Settings {
    /// Settings for this agent, with the DNS server of its host ([`DnsAddress::of`]).
    pub fn new(agent: AgentSettings) -> Self {
        let dns = DnsAddress::of(&agent.address);
        Self { agent, dns, datacenter: None, source: Source::default() }
    }

    /// Replaces the address of DNS.
    #[must_use]
    pub fn dns(mut self, dns: impl Into<DnsAddress>) -> Self {
        self.dns = dns.into();
        self
    }

    /// Replaces the source of queries that name none.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Settings from variables of any origin: `var` returns the value of a name, none if it is not set.
    ///
    /// # Errors
    /// For the first variable that can't be parsed: names it, its value (unless that is secret) and the right format.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let vars = Vars(var);
        let address = vars.parse("CONSUL_HTTP_ADDR", str::parse::<Address>)?.unwrap_or_default();
        if vars.parse("CONSUL_HTTP_SSL", flag)? == Some(true) && address.is_tcp() {
            return Err(wrong("CONSUL_HTTP_SSL", "true", NO_TLS));
        }
        let dns = vars.parse("CONSUL_DNS_ADDR", |text| dns_address(text, &address))?;
        let dns = dns.unwrap_or_else(|| DnsAddress::of(&address));
        let agent = AgentSettings {
            token: vars.token()?,
            auth: vars.get("CONSUL_HTTP_AUTH").map(|text| basic_auth(&text)),
            namespace: vars.get("CONSUL_NAMESPACE"),
            partition: vars.get("CONSUL_PARTITION"),
            address,
        };
        Ok(Self { agent, dns, datacenter: None, source: Source::default() })
    }

    /// Settings from the variables of this process.
    ///
    /// # Errors
    /// As [`Settings::from_vars`].
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(|name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }
}

struct Vars<F>(F);

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn parse<T, E: fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        parse(&value).map(Some).map_err(|why| wrong(name, &value, why))
    }

    fn token(&self) -> Result<Token, Error> {
        let value = self.get("CONSUL_HTTP_TOKEN");
        if value.as_deref().is_some_and(|token| HeaderValue::from_str(token).is_err()) {
            let text = "CONSUL_HTTP_TOKEN has a character that is not valid in a token, such as a line end";
            return Err(Error::new(Kind::Setting, text));
        }
        let file = self.get("CONSUL_HTTP_TOKEN_FILE").map(Into::into);
        Ok(Token { value: value.map(Into::into), file })
    }
}

fn wrong(name: &str, value: &str, why: impl fmt::Display) -> Error {
    let value = without_secrets(value);
    Error::new(Kind::Setting, format!("{name} is {value:?}: {why}"))
}

/// The spellings of Go's `ParseBool`.
fn flag(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("it takes true or false"),
    }
}

fn basic_auth(text: &str) -> BasicAuth {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    BasicAuth { user: user.to_owned(), password: password.into() }
}

fn dns_address(text: &str, agent: &Address) -> Result<DnsAddress, &'static str> {
    let (host, port) = split_host_port(text).ok_or("it takes host:port, host or :port")?;
    let default = DnsAddress::of(agent);
    Ok(DnsAddress { host: host.unwrap_or(default.host), port: port.unwrap_or(default.port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_vars(|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_is_consuls_own_default() {
        let nothing = settings(&[]).unwrap();
        assert_eq!(nothing, Settings::default());
        assert_eq!(nothing.agent.address.to_string(), "127.0.0.1:8500");
        assert_eq!(nothing.dns.to_string(), "127.0.0.1:8600");
        assert_eq!(
            settings(&[("CONSUL_HTTP_ADDR", ""), ("CONSUL_HTTP_SSL", "")]).unwrap(),
            nothing
        );
    }

    #[test]
    fn the_host_of_dns_defaults_to_the_agents() {
        for (http, dns, asked) in [
            ("10.1.2.3:8500", "", "10.1.2.3:8600"),
            ("http://consul", "", "consul:8600"),
            ("[fd00::1]:8500", ":53", "[fd00::1]:53"),
            ("10.1.2.3:8500", "dns.example", "dns.example:8600"),
            ("10.1.2.3:8500", "::1", "[::1]:8600"),
            ("unix:///run/consul.sock", "", "127.0.0.1:8600"),
        ] {
            let vars = [("CONSUL_HTTP_ADDR", http), ("CONSUL_DNS_ADDR", dns)];
            assert_eq!(settings(&vars).unwrap().dns.to_string(), asked, "{vars:?}");
        }
    }

    #[test]
    fn credentials_are_read_and_never_shown() {
        let settings = settings(&[
            ("CONSUL_HTTP_TOKEN", "t0ken"),
            ("CONSUL_HTTP_TOKEN_FILE", "/run/token"),
            ("CONSUL_HTTP_AUTH", "jo:pa55:word"),
            ("CONSUL_NAMESPACE", "team"),
            ("CONSUL_PARTITION", "part"),
            ("CONSUL_HTTP_SSL", "0"),
        ])
        .unwrap();
        let agent = settings.agent;
        assert_eq!(agent.token.value.as_ref().unwrap().reveal(), "t0ken");
        assert_eq!(agent.token.file.as_deref(), Some("/run/token".as_ref()));
        let auth = agent.auth.as_ref().unwrap();
        assert_eq!((auth.user.as_str(), auth.password.reveal()), ("jo", "pa55:word"));
        assert_eq!(agent.namespace.as_deref(), Some("team"));
        assert_eq!(agent.partition.as_deref(), Some("part"));
        let shown = format!("{agent:?}");
        assert!(!shown.contains("t0ken") && !shown.contains("pa55"), "{shown}");
    }

    #[test]
    fn variables_of_tls_count_only_if_tls_is_on() {
        let ssl = [("CONSUL_HTTP_SSL", "1"), ("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")];
        settings(&ssl).unwrap();
        // As for Consul's own command: they may be set for another agent.
        for name in ["CONSUL_CACERT", "CONSUL_HTTP_SSL_VERIFY", "CONSUL_TLS_SERVER_NAME"] {
            settings(&[(name, "1"), ("CONSUL_HTTP_ADDR", "consul:8500")]).unwrap();
        }
    }

    #[test]
    fn a_value_that_can_not_be_parsed_is_an_error_at_once() {
        let tls =
            "TLS is not supported yet; use http:// or unix:// to reach an agent on this machine";
        let takes = "it takes host:port, http://host:port or unix:///path";
        for (vars, text) in [
            (
                &[("CONSUL_HTTP_ADDR", "localhost")][..],
                "CONSUL_HTTP_ADDR is \"localhost\": a port is missing, perhaps localhost:8500"
                    .to_owned(),
            ),
            (
                &[("CONSUL_HTTP_ADDR", "localhost:http")],
                format!("CONSUL_HTTP_ADDR is \"localhost:http\": {takes}"),
            ),
            (
                &[("CONSUL_HTTP_ADDR", "tcp://localhost:1")],
                format!("CONSUL_HTTP_ADDR is \"tcp://localhost:1\": {takes}"),
            ),
            (
                &[("CONSUL_HTTP_ADDR", "http://jo:s3cret@localhost:8500")],
                "CONSUL_HTTP_ADDR is \"http://…@localhost:8500\": a user and a password belong in CONSUL_HTTP_AUTH, as user:password"
                    .to_owned(),
            ),
            (
                &[("CONSUL_DNS_ADDR", "jo:s3cret@localhost:x")],
                "CONSUL_DNS_ADDR is \"…@localhost:x\": it takes host:port, host or :port".to_owned(),
            ),
            (
                &[("CONSUL_HTTP_ADDR", "https://localhost:8501")],
                format!("CONSUL_HTTP_ADDR is \"https://localhost:8501\": {tls}"),
            ),
            (
                &[("CONSUL_HTTP_ADDR", "http://localhost:8500"), ("CONSUL_HTTP_SSL", "true")],
                format!("CONSUL_HTTP_SSL is \"true\": {tls}"),
            ),
            (
                &[("CONSUL_HTTP_SSL", "yes")],
                "CONSUL_HTTP_SSL is \"yes\": it takes true or false".to_owned(),
            ),
            (
                &[("CONSUL_HTTP_TOKEN", "s3cret\n")],
                "CONSUL_HTTP_TOKEN has a character that is not valid in a token, such as a line end"
                    .to_owned(),
            ),
            (
                &[("CONSUL_DNS_ADDR", "8600")],
                "CONSUL_DNS_ADDR is \"8600\": it takes host:port, host or :port".to_owned(),
            ),
            (
                &[("CONSUL_DNS_ADDR", "a:b:c")],
                "CONSUL_DNS_ADDR is \"a:b:c\": it takes host:port, host or :port".to_owned(),
            ),
        ] {
            assert_eq!(settings(vars).unwrap_err().to_string(), text);
        }
    }
}
