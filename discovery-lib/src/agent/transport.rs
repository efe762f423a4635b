//! Sends a [`Request`] with credentials and a deadline, and turns failures into errors. The meaning of the answers is the caller's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    AgentSettings, Secret,
    exchange::{Failure, Http, Limit},
    request::Request,
    token::{Tokens, header},
};
use crate::error::{Error, Kind};

/// The longest answer that is read: some 20 000 instances of one service.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The maximum length of the body of an error status that is read and shown.
const REFUSAL_BYTES_MAX: usize = 4096;
const REFUSAL_CHARS_MAX: usize = 300;
/// What Go's and nginx's servers answer on a port for TLS to a request without TLS, with status 400.
const FOR_TLS: [&str; 2] = [
    "Client sent an HTTP request to an HTTPS server",
    "The plain HTTP request was sent to HTTPS port",
];

/// Consul's text for a request that ACLs deny.
const PERMISSION_DENIED: &str = "Permission denied";
/// The remedy for a request without a token.
const SET_TOKEN: &str = "set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE";

/// An answer of any status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    sent: Sent,
}

/// The start of each error text: the request and its destination.
#[derive(Debug, Clone)]
struct Sent {
    agent: Arc<str>,
    what: String,
    /// Without a token.
    is_anonymous: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Transport {
    /// Its connections are shared by all clones.
    http: Arc<dyn Http>,
    settings: Arc<AgentSettings>,
    tokens: Arc<Tokens>,
    base: Arc<str>,
    shown: Arc<str>,
}

impl Transport {
    pub(super) fn new(settings: AgentSettings, http: Arc<dyn Http>) -> Self {
        let (base, shown) = (settings.address.base().into(), settings.address.to_string().into());
        let tokens = Arc::new(Tokens::new(settings.token.clone()));
        Self { http, settings: Arc::new(settings), tokens, base, shown }
    }

    pub(super) fn settings(&self) -> &AgentSettings {
        &self.settings
    }

    /// Stops using the connections that are open now.
    #[cfg(all(test, feature = "tls"))]
    pub(super) fn reconnect(&self) {
        self.http.reconnect();
    }

    /// Sends a request once. Dropping the future closes its connection; the agent may still execute the request.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, Error> {
        let request = request
            .query_if_any("ns", self.settings.namespace.as_deref())
            .query_if_any("partition", self.settings.partition.as_deref());
        let sent = Sent {
            agent: self.shown.clone(),
            what: format!("{} {}", request.method, request.path),
            is_anonymous: false,
        };
        let deadline = request.deadline;
        match timeout(deadline, self.exchange(&request, sent.clone())).await {
            Ok(answer) => answer,
            Err(_) => {
                // The cause that made one connection silent may have broken all of them, such as a new address of this machine.
                self.http.reconnect();
                Err(sent.no_answer_within(deadline))
            }
        }
    }

    async fn exchange(&self, request: &Request, sent: Sent) -> Result<Reply, Error> {
        let Some(token) = self.tokens.current().await? else {
            return self.exchange_as(None, request, sent).await;
        };
        let reply = self.exchange_as(Some(&token), request, sent.clone()).await?;
        match self.tokens.answered(&token, reply.status, &reply.body) {
            Some(other) => self.exchange_as(Some(&other), request, sent).await,
            None => Ok(reply),
        }
    }

    async fn exchange_as(
        &self,
        token: Option<&Secret>,
        request: &Request,
        mut sent: Sent,
    ) -> Result<Reply, Error> {
        sent.is_anonymous = token.is_none();
        let url = format!("{}{}", self.base, request.path);
        let mut builder = http::Request::builder().method(request.method.clone()).uri(url);
        if let Some(token) = token {
            builder = builder.header(consul_wire::header::TOKEN, header(token)?);
        }
        if request.body.is_some() {
            builder = builder.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let built = builder.body(request.body.clone().unwrap_or_default().into());
        let built = built.map_err(|err| sent.not_sendable(err))?;
        let limit = Limit { success: ANSWER_BYTES_MAX, other: REFUSAL_BYTES_MAX };
        let response = self.http.exchange(built, limit).await;
        let (head, body) = response.map_err(|failure| sent.failed(failure))?.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body, sent })
    }
}

impl Reply {
    pub(super) fn into_response(self) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// # Errors
    /// The status is not a success.
    pub(super) fn success(self) -> Result<Self, Error> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// Whether the agent says that ACLs removed records from this answer. Consul says so from 1.11 on.
    pub(super) fn is_filtered_by_acls(&self) -> bool {
        let filtered = self.headers.get(consul_wire::header::FILTERED_BY_ACLS);
        filtered.is_some_and(|value| value == "true")
    }

    /// # Errors
    /// The agent reports that ACLs removed records from this empty answer: the instances are not known.
    pub(super) fn not_emptied_by_acls(&self) -> Result<(), Error> {
        if !self.is_filtered_by_acls() {
            return Ok(());
        }
        let Sent { agent, what, is_anonymous } = &self.sent;
        let (from, remedy) = if *is_anonymous {
            ("requests without a token", SET_TOKEN)
        } else {
            ("this token", "it needs service:read and node:read")
        };
        let text = format!(
            "{what}: the ACLs of the agent at {agent} hide all records from {from}: {remedy}"
        );
        Err(Error::new(Kind::Answer, text))
    }

    /// The error of a list of instances of another service.
    pub(super) fn of_another_service(&self, other: &str) -> Error {
        let Sent { agent, what, .. } = &self.sent;
        let other = excerpt(other.as_bytes());
        let text = format!("{what}: the answer from {agent} is about another service: {other:?}");
        Error::new(Kind::Answer, text)
    }

    /// The error of a status that is not a success.
    pub(super) fn refusal(&self) -> Error {
        let Sent { agent, what, is_anonymous } = &self.sent;
        let mut text = format!("{what}: the agent at {agent} answered {}", self.status.as_u16());
        match excerpt(&self.body) {
            body if FOR_TLS.iter().any(|it| body.contains(it)) => {
                let text =
                    format!("{what}: the port of the agent at {agent} is for TLS: use https://");
                return Error::new(Kind::Answer, text);
            }
            body if body.is_empty() => {}
            body => text.extend([": ", &body]),
        }
        if *is_anonymous && text.ends_with(PERMISSION_DENIED) {
            text.extend([" to requests without a token: ", SET_TOKEN]);
        }
        Error::new(Kind::Status(self.status), text)
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|err| {
            let Sent { agent, what, .. } = &self.sent;
            let text = format!(
                "{what}: the answer from {agent} is not Consul's: {:?}",
                excerpt(&self.body)
            );
            Error::new(Kind::Answer, text).because(err)
        })
    }
}

impl Sent {
    fn no_answer_within(&self, deadline: Duration) -> Error {
        let Self { agent, what, .. } = self;
        Error::new(
            Kind::Timeout,
            format!("{what}: no answer from the agent at {agent} within {deadline:?}"),
        )
    }

    fn not_sendable(&self, err: http::Error) -> Error {
        let Self { agent, what, .. } = self;
        Error::new(Kind::Setting, format!("{what}: no request can be sent to {agent}")).because(err)
    }

    fn failed(&self, failure: Failure) -> Error {
        let Self { agent, what, .. } = self;
        match failure {
            Failure::Setting(err) => err,
            Failure::NoTls(reason) => {
                let text = format!("{what}: no TLS connection to the agent at {agent}: {reason}");
                Error::new(Kind::Answer, text)
            }
            Failure::Unreachable(cause) => {
                let text = format!("{what}: no agent can be reached at {agent}");
                Error::new(Kind::Unreachable, text).because(cause)
            }
            Failure::NotHttp(cause) => {
                let is_plain = !agent.starts_with("https:");
                let hint = if is_plain { " (use https:// if that port is for TLS)" } else { "" };
                let text = format!("{what}: the answer from {agent} is not HTTP{hint}");
                Error::new(Kind::Answer, text).because(cause)
            }
            Failure::Unsent => {
                let text = format!(
                    "{what}: the agent at {agent} closed the connection before the request was sent"
                );
                Error::new(Kind::Unreachable, text)
            }
            Failure::Closed(cause) => {
                let text = format!("{what}: the agent at {agent} closed the connection");
                Error::new(Kind::Unreachable, text).because(cause)
            }
            Failure::Incomplete(cause) => {
                let text = format!("{what}: the answer of the agent at {agent} is incomplete");
                Error::new(Kind::Unreachable, text).because(cause)
            }
            Failure::TooLong => {
                let max = ANSWER_BYTES_MAX >> 20;
                let text = format!(
                    "{what}: the answer of the agent at {agent} is longer than the limit of {max} MiB"
                );
                Error::new(Kind::Answer, text)
            }
        }
    }
}

/// The first words of a body, on one line.
fn excerpt(body: &[u8]) -> String {
    let start = &body[..body.len().min(REFUSAL_BYTES_MAX)];
    let text = String::from_utf8_lossy(start);
    let mut words =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.extend([" ", word]);
    }
    match line.char_indices().nth(REFUSAL_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
