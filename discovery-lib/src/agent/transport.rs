//! Sends a [`Request`] and reads what comes back, within its deadline and a limit. Knows HTTP and nothing of Consul's answers.

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    AgentSettings, Secret,
    request::Request,
    token::{Tokens, header},
};
use crate::{
    error::{Error, Kind},
    names::Names,
};

/// No connection in this time: the agent is not reachable. It is on this machine or near.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A connection on which nothing came for so long is asked for a sign of life, so often; an agent that gives none for [`SILENT_MAX`] (its host
/// lost its power or its network) is dead, also to a question that waits for a change.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Where there is no TCP_USER_TIMEOUT, so many unanswered ones say the same.
const KEEPALIVE_PROBES: u32 = 3;
/// A connection unused for so long is closed; longer than a beat, so that beats share one.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The longest answer that is read: some 20 000 instances of one service.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// How much of an agent's complaint is read, and shown.
const COMPLAINT_BYTES_MAX: usize = 4096;
const COMPLAINT_CHARS_MAX: usize = 300;

/// An answer of any status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
    asked: Asked,
}

/// Who was asked what: how each error text starts.
#[derive(Debug, Clone)]
struct Asked {
    agent: Arc<str>,
    what: String,
}

#[derive(Debug, Clone)]
pub(super) struct Transport {
    /// Its connections are shared by all clones, and forgotten by all.
    http: Arc<Mutex<reqwest::Client>>,
    resolver: Resolver,
    settings: Arc<AgentSettings>,
    tokens: Arc<Tokens>,
    base: Arc<str>,
    shown: Arc<str>,
}

impl Transport {
    pub(super) fn new(settings: AgentSettings) -> Result<Self, Error> {
        let resolver = Resolver::default();
        let http = Arc::new(Mutex::new(client(&settings, &resolver)?));
        let (base, shown) = (settings.address.base().into(), settings.address.to_string().into());
        let tokens = Arc::new(Tokens::new(settings.token.clone()));
        Ok(Self { http, resolver, settings: Arc::new(settings), tokens, base, shown })
    }

    pub(super) fn settings(&self) -> &AgentSettings {
        &self.settings
    }

    /// Asks, once. Dropping the future closes its connection; whether the agent does what it was asked is then not known.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, Error> {
        let request = request
            .query_if_any("ns", self.settings.namespace.as_deref())
            .query_if_any("partition", self.settings.partition.as_deref());
        let asked = Asked {
            agent: self.shown.clone(),
            what: format!("{} {}", request.method, request.path),
        };
        let deadline = request.deadline;
        match timeout(deadline, self.exchange(&request, asked.clone())).await {
            Ok(answer) => answer,
            Err(_) => {
                self.forget_connections();
                Err(asked.no_answer_within(deadline))
            }
        }
    }

    /// What made one connection silent may have ended all of them, above all another address of this machine: the next request makes a new one.
    /// Those in use are left alone.
    fn forget_connections(&self) {
        if let Ok(fresh) = client(&self.settings, &self.resolver) {
            *self.http.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    async fn exchange(&self, request: &Request, asked: Asked) -> Result<Reply, Error> {
        let Some(token) = self.tokens.current().await? else {
            return self.exchange_as(None, request, asked).await;
        };
        let reply = self.exchange_as(Some(&token), request, asked.clone()).await?;
        match self.tokens.answered(&token, reply.status, &reply.body) {
            Some(other) => self.exchange_as(Some(&other), request, asked).await,
            None => Ok(reply),
        }
    }

    async fn exchange_as(
        &self,
        token: Option<&Secret>,
        request: &Request,
        asked: Asked,
    ) -> Result<Reply, Error> {
        let url = format!("{}{}", self.base, request.path);
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut builder = http.request(request.method.clone(), url);
        if let Some(token) = token {
            builder = builder.header(consul_wire::header::TOKEN, header(token)?);
        }
        if let Some(auth) = &self.settings.auth {
            builder = builder.basic_auth(&auth.user, Some(auth.password.reveal()));
        }
        if let Some(body) = request.body.clone() {
            let json = HeaderValue::from_static("application/json");
            builder = builder.header(CONTENT_TYPE, json).body(body);
        }
        let mut response = builder.send().await.map_err(|err| asked.unanswered(&err))?;
        let limit =
            if response.status().is_success() { ANSWER_BYTES_MAX } else { COMPLAINT_BYTES_MAX };
        let body = asked.read(&mut response, limit).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Reply { status: response.status(), headers, body, asked })
    }
}

fn client(settings: &AgentSettings, resolver: &Resolver) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_MAX)
        .tcp_keepalive(KEEPALIVE_AFTER)
        .tcp_keepalive_interval(KEEPALIVE_EVERY)
        .tcp_keepalive_retries(KEEPALIVE_PROBES)
        .dns_resolver(resolver.clone())
        .user_agent(concat!("discovery/", env!("CARGO_PKG_VERSION")));
    #[cfg(target_os = "linux")]
    {
        builder = builder.tcp_user_timeout(SILENT_MAX);
    }
    if let super::Address::Unix(path) = &settings.address {
        builder = builder.unix_socket(path.as_path());
    }
    builder.build().map_err(|err| {
        Error::new(Kind::Setting, "the HTTP client can't be built from these settings").because(err)
    })
}

/// Looks up the agent's host as instances' hosts are.
#[derive(Debug, Default, Clone)]
struct Resolver(Arc<Names>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let found = names.find(name.as_str()).await?;
            Ok(Box::new((0..found.len()).map(move |nth| found[nth])) as Addrs)
        })
    }
}

impl Reply {
    /// The error that a status other than success is.
    pub(super) fn success(self) -> Result<Self, Error> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// That an empty answer is not empty because of ACLs, as far as the agent says so: then it is not known what there is.
    pub(super) fn not_emptied_by_acls(&self) -> Result<(), Error> {
        let filtered = self.headers.get(consul_wire::header::FILTERED_BY_ACLS);
        if filtered.is_none_or(|value| value != "true") {
            return Ok(());
        }
        let Asked { agent, what } = &self.asked;
        let text = format!(
            "{what}: the agent at {agent} hides all there is from this ACL token: it takes service:read and node:read"
        );
        Err(Error::new(Kind::Answer, text))
    }

    /// What the agent said instead of doing what it was asked.
    pub(super) fn refusal(&self) -> Error {
        let Asked { agent, what } = &self.asked;
        let mut text = format!("{what}: the agent at {agent} answered {}", self.status.as_u16());
        match excerpt(&self.body) {
            said if said.is_empty() => {}
            said => text.extend([": ", &said]),
        }
        Error::new(Kind::Status(self.status), text)
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|err| {
            let Asked { agent, what } = &self.asked;
            let text = format!(
                "{what}: what answers at {agent} does not speak as Consul does, but says {:?}",
                excerpt(&self.body)
            );
            Error::new(Kind::Answer, text).because(err)
        })
    }
}

impl Asked {
    fn no_answer_within(&self, deadline: Duration) -> Error {
        let Self { agent, what } = self;
        Error::new(
            Kind::Timeout,
            format!("{what}: no answer from the agent at {agent} within {deadline:?}"),
        )
    }

    fn unanswered(&self, err: &reqwest::Error) -> Error {
        let Self { agent, what } = self;
        let (kind, text) = if err.is_connect() {
            (Kind::Unreachable, format!("{what}: no agent can be reached at {agent}"))
        } else if is_parse(err) {
            (Kind::Answer, format!("{what}: what answers at {agent} does not speak HTTP"))
        } else {
            (Kind::Unreachable, format!("{what}: the agent at {agent} closed the connection"))
        };
        Error::new(kind, text).because(root(err))
    }

    /// The body, if no longer than the limit; of a complaint its start.
    async fn read(&self, response: &mut reqwest::Response, limit: usize) -> Result<Bytes, Error> {
        let Self { agent, what } = self;
        let mut body = BytesMut::new();
        loop {
            let chunk = response.chunk().await.map_err(|err| {
                let text = format!("{what}: the answer of the agent at {agent} breaks off");
                Error::new(Kind::Answer, text).because(root(&err))
            })?;
            let Some(chunk) = chunk else { return Ok(body.freeze()) };
            if body.len() + chunk.len() <= limit {
                body.extend_from_slice(&chunk);
            } else if response.status().is_success() {
                let text = format!(
                    "{what}: the agent at {agent} answers more than the {} MiB that are read",
                    limit >> 20
                );
                return Err(Error::new(Kind::Answer, text));
            } else {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Ok(body.freeze());
            }
        }
    }
}

/// The first words of a body, on one line.
fn excerpt(body: &[u8]) -> String {
    let start = &body[..body.len().min(COMPLAINT_BYTES_MAX)];
    let text = String::from_utf8_lossy(start);
    let mut words =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.extend([" ", word]);
    }
    match line.char_indices().nth(COMPLAINT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn is_parse(err: &reqwest::Error) -> bool {
    causes(err)
        .any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse))
}

/// What lies at the bottom of a chain of errors, which is what a person can act on; the layers above only say that they failed.
fn root(err: &reqwest::Error) -> String {
    causes(err).last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

fn causes<'a>(err: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(err.source(), |&err| err.source())
}
