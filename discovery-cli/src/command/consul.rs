//! How a command that registers reaches its agent, and the values of a registration.

use std::{env, net::SocketAddr};

use discovery::{Discovery, Error, Registration, Settings};

/// The agent; the token and others come from CONSUL_*, as for Consul's own command.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Agent {
    /// Consul's HTTP API: HOST:PORT, http[s]://HOST:PORT or unix:///PATH; unset: 127.0.0.1:8500
    #[arg(long, env = "CONSUL_HTTP_ADDR", value_name = "ADDRESS")]
    http_addr: Option<String>,
    /// A file with the ACL token
    #[arg(long, env = "CONSUL_HTTP_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<String>,
}

impl Agent {
    pub(super) fn discovery(self) -> Result<Discovery, Error> {
        let Self { http_addr, token_file } = self;
        let settings = Settings::from_vars(|name| match name {
            "CONSUL_HTTP_ADDR" => http_addr.clone(),
            "CONSUL_HTTP_TOKEN_FILE" => token_file.clone(),
            _ => env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        })?;
        Discovery::new(settings)
    }
}

/// What callers may know about an instance.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Labels {
    /// Tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// Metadata; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) meta: Vec<(String, String)>,
}

impl Labels {
    /// Adds them to a registration.
    pub(super) fn label(&self, registration: Registration) -> Registration {
        let tagged = self.tags.iter().fold(registration, Registration::tag);
        self.meta.iter().fold(tagged, |it, (key, value)| it.meta(key, value))
    }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, like zone=a"),
    }
}

/// Parses a port that is not 0.
pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port != 0).ok_or("expected a port, 1 to 65535")
}

/// Parses where a program listens: `PORT`, or `IP:PORT` if it listens on one address only.
pub(super) fn listening(text: &str) -> Result<SocketAddr, &'static str> {
    let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let address = text.parse().or_else(|_| port(text).map(any));
    let expected = "expected a port, 1 to 65535, or an IP address and a port, like 10.0.0.1:80";
    address.ok().filter(|it| it.port() != 0).ok_or(expected)
}

/// A failure of a call to the agent, with what to do.
pub(super) fn with_hint(err: &Error) -> String {
    let text = program::chain(err);
    if err.status().is_none() && err.is_retryable() {
        text + "; start one with `discovery agent`, or set --http-addr"
    } else {
        text
    }
}
