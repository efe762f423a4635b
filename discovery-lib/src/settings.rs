//! The settings of a program for Consul, from the variables that Consul's own command reads, and `CONSUL_DNS_ADDR`.
//!
//! A value that can't be parsed is an error at once, never a default. An empty variable counts as not set.
//! Source: <https://developer.hashicorp.com/consul/commands#environment-variables>.

mod variables;

use std::{fmt, net::SocketAddr};

use crate::{
    Error, Host, Source,
    agent::{Address, AgentSettings},
};
pub use variables::Variable;

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

    /// The variables that [`Settings::from_vars`] reads, for the help of a program.
    pub fn variables() -> &'static [Variable] {
        &variables::ALL
    }

    /// Settings from variables of any origin: `var` returns the value of a name, none if it is not set. Reads no file.
    ///
    /// # Errors
    /// For the first variable that can't be used: names it, its value (unless that is secret) and the right format.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        variables::read(var)
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "tls")]
    use crate::agent::Tls;

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
        let unix = [("CONSUL_HTTP_SSL", "1"), ("CONSUL_HTTP_ADDR", "unix:///run/consul.sock")];
        settings(&unix).unwrap();
        // They may be set for another agent.
        for name in ["CONSUL_CACERT", "CONSUL_CLIENT_CERT", "CONSUL_TLS_SERVER_NAME"] {
            settings(&[(name, "1"), ("CONSUL_HTTP_ADDR", "consul:8500")]).unwrap();
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn variables_of_tls_are_read() {
        let all = [
            ("CONSUL_HTTP_ADDR", "consul:8501"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
            ("CONSUL_CACERT", "/run/ca.pem"),
            ("CONSUL_CAPATH", "/run/ca"),
            ("CONSUL_CLIENT_CERT", "/run/client.pem"),
            ("CONSUL_CLIENT_KEY", "/run/client-key.pem"),
            ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul"),
        ];
        let agent = settings(&all).unwrap().agent;
        assert_eq!(agent.address.to_string(), "https://consul:8501");
        let tls = Tls::default().ca_file("/run/ca.pem").ca_path("/run/ca").unverified();
        let tls = tls.client("/run/client.pem", "/run/client-key.pem");
        assert_eq!(agent.tls, tls.server_name("server.dc1.consul"));
        for (ssl, address, shown) in [
            ("true", "http://consul:8500", "https://consul:8500"),
            ("true", "", "https://127.0.0.1:8500"),
            ("false", "https://consul:8501", "https://consul:8501"),
            ("", "https://consul", "https://consul:443"),
        ] {
            let vars = [("CONSUL_HTTP_SSL", ssl), ("CONSUL_HTTP_ADDR", address)];
            assert_eq!(settings(&vars).unwrap().agent.address.to_string(), shown, "{vars:?}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_without_a_key_is_an_error() {
        for (set, missing) in [
            ("CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY"),
            ("CONSUL_CLIENT_KEY", "CONSUL_CLIENT_CERT"),
        ] {
            let vars = [("CONSUL_HTTP_ADDR", "https://consul:8501"), (set, "/run/file.pem")];
            let text = format!(
                "{set} is \"/run/file.pem\": {missing} is not set, and a client certificate needs both"
            );
            assert_eq!(settings(&vars).unwrap_err().to_string(), text);
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_the_feature_tls_is_an_error_that_names_it() {
        let why =
            "TLS needs the feature `tls` of discovery-lib, which this program was built without";
        for (name, value) in
            [("CONSUL_HTTP_ADDR", "https://localhost:8501"), ("CONSUL_HTTP_SSL", "true")]
        {
            let text = format!("{name} is {value:?}: {why}");
            assert_eq!(settings(&[(name, value)]).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn each_variable_is_documented_with_its_default_and_its_meaning() {
        let read = |path: &str| {
            std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        for page in ["../README.md", "src/lib.rs"] {
            let text = read(page);
            for Variable { name, default, meaning, .. } in Settings::variables() {
                let row = format!("| `{name}` | {default} | {meaning} |");
                assert!(text.contains(&row), "{page} has no row {row}");
            }
        }
    }

    #[test]
    fn a_value_that_can_not_be_parsed_is_an_error_at_once() {
        let takes = "it takes host:port, http://host:port, https://host:port or unix:///path";
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
                &[("CONSUL_HTTP_SSL", "yes")],
                "CONSUL_HTTP_SSL is \"yes\": it takes true or false".to_owned(),
            ),
            (
                &[("CONSUL_HTTP_SSL_VERIFY", "no")],
                "CONSUL_HTTP_SSL_VERIFY is \"no\": it takes true or false".to_owned(),
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
