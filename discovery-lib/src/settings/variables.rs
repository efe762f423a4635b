//! The variables of Consul's own command that are read here, and `CONSUL_DNS_ADDR`: one table for the reader, the documentation and the tests.

use std::path::PathBuf;

use http::HeaderValue;

use super::{DnsAddress, Settings};
use crate::{
    Host, Source,
    agent::{
        Address, AgentSettings, BasicAuth, ClientCertificate, Tls, Token, Verification,
        split_host_port,
    },
    error::{Error, Kind},
    redact::without_secrets,
    tls::NO_TLS,
};

/// A variable that [`Settings::from_vars`] reads ([`Settings::variables`]).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Variable {
    /// Its name, which begins with `CONSUL_`.
    pub name: &'static str,
    /// Its default, in Markdown.
    pub default: &'static str,
    /// Its meaning and its format, in Markdown.
    pub meaning: &'static str,
    /// Reads a value that is not empty. An error states the right format.
    read: fn(&mut Draft, &str) -> Result<(), String>,
    is_secret: bool,
}

/// All of them. Empty values count as not set.
pub(super) const ALL: [Variable; 14] = [
    Variable {
        default: "`127.0.0.1:8500`",
        ..row(
            "CONSUL_HTTP_ADDR",
            "the agent: `host:port`, `http://host:port`, `https://host:port` or `unix:///path`",
            |draft, text| {
                draft.address = text.parse().map_err(|err: Error| err.to_string())?;
                Ok(())
            },
        )
    },
    Variable {
        is_secret: true,
        ..row("CONSUL_HTTP_TOKEN", "ACL token", |draft, text| {
            if HeaderValue::from_str(text).is_err() {
                return Err(
                    "has a character that is not valid in a token, such as a line end".into()
                );
            }
            draft.token.value = Some(text.into());
            Ok(())
        })
    },
    row(
        "CONSUL_HTTP_TOKEN_FILE",
        "file with the ACL token, read for each request; while it is not usable, the last accepted token is used",
        |draft, text| set(&mut draft.token.file, text),
    ),
    Variable {
        is_secret: true,
        ..row(
            "CONSUL_HTTP_AUTH",
            "`user:password` for a proxy with basic authentication",
            |draft, text| {
                let (user, password) = text.split_once(':').unwrap_or((text, ""));
                draft.auth = Some(BasicAuth::new(user, password));
                Ok(())
            },
        )
    },
    Variable {
        default: "`false`",
        ..row(
            "CONSUL_HTTP_SSL",
            "`true`: TLS, also without `https://`; not for a unix socket",
            |draft, text| {
                draft.is_tls = flag(text)?;
                Ok(())
            },
        )
    },
    Variable {
        default: "`true`",
        ..row(
            "CONSUL_HTTP_SSL_VERIFY",
            "`false`: the agent's certificate is not verified",
            |draft, text| {
                draft.tls.verification =
                    if flag(text)? { Verification::Full } else { Verification::None };
                Ok(())
            },
        )
    },
    Variable {
        default: "the system's authorities",
        ..row(
            "CONSUL_CACERT",
            "PEM file with the authorities that may sign the agent's certificate",
            |draft, text| set(&mut draft.tls.ca_file, text),
        )
    },
    row(
        "CONSUL_CAPATH",
        "directory of such files; not used if `CONSUL_CACERT` is set",
        |draft, text| set(&mut draft.tls.ca_path, text),
    ),
    row(
        "CONSUL_CLIENT_CERT",
        "PEM file with this client's certificate, for an agent that verifies its clients",
        |draft, text| set(&mut draft.cert, text),
    ),
    row("CONSUL_CLIENT_KEY", "PEM file with the key of that certificate", |draft, text| {
        set(&mut draft.key, text)
    }),
    Variable {
        default: "the host of the address",
        ..row(
            "CONSUL_TLS_SERVER_NAME",
            "name that the agent's certificate must have, also sent as SNI",
            |draft, text| {
                draft.tls.server_name = Some(text.to_owned());
                Ok(())
            },
        )
    },
    row("CONSUL_NAMESPACE", "namespace of Consul Enterprise", |draft, text| {
        draft.namespace = Some(text.to_owned());
        Ok(())
    }),
    row("CONSUL_PARTITION", "admin partition of Consul Enterprise", |draft, text| {
        draft.partition = Some(text.to_owned());
        Ok(())
    }),
    Variable {
        default: "the agent's host, port 8600",
        ..row(DNS, "Consul's DNS, used over TCP: `host:port`, `host` or `:port`", |draft, text| {
            draft.dns = split_host_port(text).ok_or("it takes host:port, host or :port")?;
            Ok(())
        })
    },
];

const DNS: &str = "CONSUL_DNS_ADDR";

const fn row(
    name: &'static str,
    meaning: &'static str,
    read: fn(&mut Draft, &str) -> Result<(), String>,
) -> Variable {
    Variable { name, default: "none", meaning, read, is_secret: false }
}

/// What the variables say, one by one.
#[derive(Debug, Default)]
struct Draft {
    address: Address,
    is_tls: bool,
    token: Token,
    auth: Option<BasicAuth>,
    tls: Tls,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    namespace: Option<String>,
    partition: Option<String>,
    dns: (Option<Host>, Option<u16>),
}

/// # Errors
/// The first variable that can't be used.
pub(super) fn read(var: impl Fn(&str) -> Option<String>) -> Result<Settings, Error> {
    let mut draft = Draft::default();
    for variable in ALL {
        if let Some(value) = var(variable.name).filter(|value| !value.is_empty()) {
            (variable.read)(&mut draft, &value).map_err(|why| variable.wrong(&value, &why))?;
        }
    }
    draft.finish()
}

impl Variable {
    fn wrong(&self, value: &str, why: &str) -> Error {
        let name = self.name;
        if self.is_secret {
            return Error::new(Kind::Setting, format!("{name} {why}"));
        }
        wrong(name, value, why)
    }
}

fn wrong(name: &str, value: &str, why: &str) -> Error {
    let value = without_secrets(value);
    Error::new(Kind::Setting, format!("{name} is {value:?}: {why}"))
}

impl Draft {
    /// # Errors
    /// The variables contradict each other.
    fn finish(self) -> Result<Settings, Error> {
        let Self { mut address, is_tls, token, auth, mut tls, namespace, partition, .. } = self;
        if is_tls {
            address = address.over_tls();
            address.check().map_err(|_| wrong("CONSUL_HTTP_SSL", "true", NO_TLS))?;
        }
        let half = |set, missing, path: PathBuf| {
            let why = format!("{missing} is not set, and a client certificate needs both");
            wrong(set, &path.display().to_string(), &why)
        };
        // Without TLS they are not used: they may be set for another agent.
        tls.client = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some(ClientCertificate::new(cert, key)),
            (Some(cert), None) if address.is_tls() => {
                return Err(half("CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY", cert));
            }
            (None, Some(key)) if address.is_tls() => {
                return Err(half("CONSUL_CLIENT_KEY", "CONSUL_CLIENT_CERT", key));
            }
            _ => None,
        };
        let default = DnsAddress::of(&address);
        let (host, port) = self.dns;
        let dns = DnsAddress::new(host.unwrap_or(default.host), port.unwrap_or(default.port));
        let agent = AgentSettings { address, tls, token, auth, namespace, partition };
        Ok(Settings { agent, dns, datacenter: None, source: Source::default() })
    }
}

fn set(path: &mut Option<PathBuf>, text: &str) -> Result<(), String> {
    *path = Some(text.into());
    Ok(())
}

/// The spellings of Go's `ParseBool`.
fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("it takes true or false".to_owned()),
    }
}
