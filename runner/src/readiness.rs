//! What decides whether a service of the program is healthy, and one probe of it.

use std::{ffi::OsString, net::SocketAddr, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{children::Children, exec};

const USER_AGENT: &str = concat!("discovery-run/", env!("CARGO_PKG_VERSION"));

/// How a service is probed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Readiness {
    /// Healthy while it accepts connections: `tcp`.
    #[default]
    Tcp,
    /// Healthy while a GET of this path returns 2xx or 3xx: `http:/PATH`.
    Http(Uri),
    /// Healthy while a command, which `/bin/sh` executes, exits with 0: `exec:CMD`.
    Exec(String),
}

/// The text is not a [`Readiness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedReadiness;

impl std::error::Error for ExpectedReadiness {}

impl std::fmt::Display for ExpectedReadiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected tcp, http:/PATH or exec:CMD")
    }
}

impl FromStr for Readiness {
    type Err = ExpectedReadiness;

    fn from_str(text: &str) -> Result<Self, ExpectedReadiness> {
        match text.split_once(':') {
            None if text == "tcp" => Ok(Self::Tcp),
            Some(("http", path)) if path.starts_with('/') => {
                path.parse().map(Self::Http).map_err(|_| ExpectedReadiness)
            }
            Some(("exec", command)) if !command.trim().is_empty() => {
                Ok(Self::Exec(command.to_owned()))
            }
            _ => Err(ExpectedReadiness),
        }
    }
}

/// Probes a service once, within `within`.
///
/// # Errors
/// It is not healthy; the reason.
pub(crate) async fn probe(
    readiness: &Readiness,
    at: SocketAddr,
    children: &Children,
    hidden: &[OsString],
    within: Duration,
) -> Result<(), String> {
    let probed = async {
        match readiness {
            Readiness::Tcp => connect(at).await.map(drop),
            Readiness::Http(path) => get(at, path).await,
            Readiness::Exec(line) => exec::succeeds(line, children, hidden).await,
        }
    };
    match timeout(within, probed).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no result of its probe within {within:?}")),
    }
}

async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(at).await.map_err(|err| format!("can't connect to {at}: {err}"))
}

async fn get(at: SocketAddr, path: &Uri) -> Result<(), String> {
    // Without the query, which may have a secret.
    let url = format!("http://{at}{}", path.path());
    let failed = |err: hyper::Error| format!("GET {url} failed: {err}");
    let io = TokioIo::new(connect(at).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(failed)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.clone();
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT));
    let host = http::HeaderValue::try_from(at.to_string()).map_err(|err| err.to_string())?;
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    let answer = async {
        tokio::select! {
            answer = sender.send_request(request) => answer.map_err(failed),
            // It ends also when the answer is there.
            Err(err) = connection => Err(failed(err)),
        }
    };
    match answer.await?.status() {
        status if is_healthy(status) => Ok(()),
        status => Err(format!("GET {url} returned {status}")),
    }
}

fn is_healthy(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readiness_is_parsed() {
        let http = |path: &str| Ok(Readiness::Http(path.parse().unwrap()));
        let exec = |line: &str| Ok(Readiness::Exec(line.to_owned()));
        for (text, parsed) in [
            ("tcp", Ok(Readiness::Tcp)),
            ("http:/", http("/")),
            ("http:/health?full=1", http("/health?full=1")),
            ("exec:redis-cli ping | grep -q PONG", exec("redis-cli ping | grep -q PONG")),
            ("", Err(ExpectedReadiness)),
            ("TCP", Err(ExpectedReadiness)),
            ("tcp:80", Err(ExpectedReadiness)),
            ("http", Err(ExpectedReadiness)),
            ("http:health", Err(ExpectedReadiness)),
            ("http://web/", http("//web/")),
            ("http:/a b", Err(ExpectedReadiness)),
            ("exec:", Err(ExpectedReadiness)),
            ("exec: ", Err(ExpectedReadiness)),
        ] {
            assert_eq!(text.parse::<Readiness>(), parsed, "{text}");
        }
    }
}
