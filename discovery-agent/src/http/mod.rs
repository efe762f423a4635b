//! The HTTP API: one task per connection; each request is looked up in the table of routes.

mod agent;
mod caller;
mod catalog;
mod decode;
mod health;
mod host;
mod lookup;
mod meta;
mod path;
mod query;
mod reply;
mod request;
mod routes;
mod schema;
mod serve;
mod shapes;
mod status;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Method, Request as HttpRequest, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION, VARY},
    request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use http_connections::refusal;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, sleep_until, timeout};

pub(crate) use self::{caller::Caller, host::Hosts, reply::Reply, serve::serve};
use self::{
    lookup::{Answers, Lookup},
    query::{Options, Query, waiting},
    reply::{Body, Failure, Style},
    request::Request,
    routes::{Action, Match, Route},
};
use crate::{
    engine::{Engine, Stage},
    state::{Refusal, Topic},
};

/// The maximum length of a body, in bytes. Consul's limit for the value of a key; registrations are much shorter.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// The answer to a change that could not be written to disk. As in Consul, a new registration is undone then.
const NOT_KEPT: &str = "could not be kept on disk: nothing new was registered, and what was changed may be lost when the agent ends; \
     see the agent's log and try again";
/// The time limit for receiving a body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The jitter of a blocking query: it waits up to a 16th of its wait longer, so that queries that started together do not end together.
const WAIT_JITTER: u32 = 16;

/// The API over an engine.
#[derive(Debug)]
pub(crate) struct Api {
    engine: Arc<Engine>,
    answers: Answers,
    hosts: Hosts,
}

impl Api {
    pub(crate) fn new(engine: Arc<Engine>, hosts: Hosts) -> Self {
        Self { engine, answers: Answers::default(), hosts }
    }

    /// See [`Answers::clear`].
    pub(crate) fn clear(&self) {
        self.answers.clear();
    }

    /// Answers a request through the table of routes.
    async fn answer(&self, request: HttpRequest<Incoming>, caller: &Caller) -> Reply {
        let (head, body) = request.into_parts();
        if let Some(refused) = refusal(&head) {
            return last(Reply::text(refused.status, refused.why));
        }
        if let Err(refusal) = self.hosts.check(&head) {
            return refusal.into();
        }
        if let Some(elsewhere) = path::clean(&head.uri) {
            return moved(&head.method, &elsewhere);
        }
        let path =
            percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
        let mut reply = match routes::find(&head.method, &path) {
            Match::Route(route) => {
                self.act(route, &path, &head, body, caller).await.unwrap_or_else(Reply::from)
            }
            Match::OtherMethods(allowed) => not_allowed(&head.method, &allowed),
            Match::Nothing => return elsewhere(&path),
        };
        reply.set(VARY, HeaderValue::from_static("Accept-Encoding"));
        reply
    }

    async fn act(
        &self,
        route: &Route,
        path: &str,
        head: &Parts,
        body: Incoming,
        caller: &Caller,
    ) -> Result<Reply, Failure> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let style = style(head, &query);
        let request = Request {
            subject: route.subject(path).unwrap_or_default().to_owned(),
            query,
            body: timeout(BODY_WITHIN, read_body(body)).await.map_err(|_| late())??,
            style,
            identity: self.engine.identity(),
            caller,
        };
        caller.in_progress();
        match route.action {
            Action::Show(show) => {
                let write = self.engine.read(|state| show(&request, state))?;
                Ok(write())
            }
            Action::Ask(ask) => self.ask(&request, ask).await,
            Action::Content => self.content(&request).await,
            Action::Change(change) => {
                query::refuse_namespace(&request.query)?;
                let kept = self.engine.apply(change(&request)?).map_err(Failure::from)?;
                if kept.confirmed().await {
                    Ok(Reply::done())
                } else {
                    Err(Failure::internal(NOT_KEPT))
                }
            }
            Action::Refuse(why) => Err(why()),
        }
    }

    /// Answers a lookup in the catalog. With an index, it waits until the answer is newer than that, or the wait is over.
    async fn ask(
        &self,
        request: &Request<'_>,
        ask: fn(&Request<'_>) -> Result<Lookup, Failure>,
    ) -> Result<Reply, Failure> {
        let options = Options::of(&request.query, &request.identity.datacenter)?;
        let lookup = ask(request)?;
        if options.index > 0 {
            let topic = lookup.topic();
            let newer = || self.engine.read(|state| state.index_of(&topic)) > options.index;
            self.wait(&topic, options.wait, request.caller, newer).await?;
        }
        let answer = self.answers.answer(&lookup, request.style, &self.engine);
        let mut reply = Reply::json(answer.body).of_catalog(answer.index, options.consistency);
        if options.cached {
            reply.of_cache(answer.hit);
        }
        Ok(reply)
    }

    /// Shows an instance. With a hash, it waits until the content differs, or the wait is over.
    async fn content(&self, request: &Request<'_>) -> Result<Reply, Failure> {
        query::refuse_namespace(&request.query)?;
        let id = &request.subject;
        let (_, wait) = waiting(&request.query)?;
        let look = || self.engine.read(|state| state.agent_service(id));
        let other = |hash: &str| look().is_none_or(|service| service.content_hash != hash);
        if let Some(hash) = request.query.first(consul_wire::query::HASH)
            && !hash.is_empty()
        {
            let topic = Topic::Agent(id.clone());
            self.wait(&topic, wait, request.caller, || other(hash)).await?;
        }
        let service = look().ok_or_else(|| {
            Failure::new(StatusCode::NOT_FOUND, format!("unknown service ID: {id}"))
        })?;
        let hash = HeaderValue::from_str(&service.content_hash);
        let mut reply = Reply::json(Body::json(&service, request.style));
        if let Ok(hash) = hash {
            reply.set(reply::CONTENT_HASH, hash);
        }
        Ok(reply)
    }

    /// Returns when `done` holds, which is evaluated whenever the topic changes; when the wait and its jitter are over; when the client has shut
    /// its sending side, as a closed client does, so that its permit is released; or when the agent stops.
    async fn wait(
        &self,
        topic: &Topic,
        wait: Duration,
        caller: &Caller,
        done: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        if done() {
            return Ok(());
        }
        let waiter = self.engine.join(topic).ok_or_else(|| {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many blocking queries")
        })?;
        let jitter = (wait / WAIT_JITTER).mul_f64(fastrand::f64());
        tokio::select! {
            () = waiter.until(done) => {}
            () = caller.has_sent_all() => {}
            () = sleep_until(Instant::now() + wait + jitter) => {}
            () = self.engine.reached(Stage::Stopping) => {}
        }
        Ok(())
    }
}

/// Consul writes pretty JSON for any value of `pretty`.
fn style(head: &Parts, query: &Query) -> Style {
    let accepts = head.headers.get(ACCEPT_ENCODING);
    let gzip = accepts.and_then(|value| value.to_str().ok()).is_some_and(accepts_gzip);
    Style { pretty: query.has("pretty"), gzip }
}

/// `gzip` is among the encodings, and its weight is not 0.
fn accepts_gzip(encodings: &str) -> bool {
    encodings.split(',').any(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    })
}

async fn read_body(body: Incoming) -> Result<Bytes, Failure> {
    let too_long = || {
        Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body too large, max size: {BODY_BYTES_MAX} bytes"),
        )
    };
    // Checked before the body is read, so that the client is not sent `100 Continue`.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_long());
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(too_long()),
        Err(err) => Err(Failure::bad(format!("Request decode failed: {err}"))),
    }
}

fn late() -> Failure {
    let text = format!("Request body was not received within {BODY_WITHIN:?}");
    Failure::new(StatusCode::REQUEST_TIMEOUT, text)
}

/// Closes the connection after the answer: what follows the request cannot be parsed safely.
fn last(mut reply: Reply) -> Reply {
    reply.set(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// A redirect to the canonical form of a path, with the text of Go.
fn moved(method: &Method, to: &str) -> Reply {
    let is_page = matches!(*method, Method::GET | Method::HEAD);
    let page = if *method == Method::GET { path::page(to) } else { String::new() };
    let mut reply = Reply::new(StatusCode::MOVED_PERMANENTLY, page);
    if is_page {
        reply.set(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    }
    if let Ok(to) = HeaderValue::from_str(to) {
        reply.set(LOCATION, to);
    }
    reply
}

/// A path without a route: the redirect to the UI that Consul has there, a 501, or a 404.
fn elsewhere(path: &str) -> Reply {
    // OPTIONS of the server as a whole.
    if path == "*" {
        return Reply::done();
    }
    if path == "/" {
        let mut reply = Reply::new(StatusCode::MOVED_PERMANENTLY, Bytes::new());
        reply.set(LOCATION, HeaderValue::from_static("/ui/"));
        return reply;
    }
    if routes::is_not_offered(path) {
        let text =
            format!("this agent does not offer {path}: run Consul itself where it is needed");
        return Reply::text(StatusCode::NOT_IMPLEMENTED, text);
    }
    Reply::new(StatusCode::NOT_FOUND, Bytes::new())
}

fn not_allowed(method: &Method, allowed: &[&Method]) -> Reply {
    let allowed = allowed.iter().fold("OPTIONS".to_owned(), |all, one| format!("{all},{one}"));
    let mut reply = if method == Method::OPTIONS {
        Reply::done()
    } else {
        let text = format!("method {method} not allowed");
        Reply::text(StatusCode::METHOD_NOT_ALLOWED, text)
    };
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        reply.set(ALLOW, allowed);
    }
    reply
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NothingToMaintain(_) => StatusCode::NOT_FOUND,
            Refusal::Reserved(_) => StatusCode::BAD_REQUEST,
            Refusal::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::NoTtl(_)
            | Refusal::UnknownService(_)
            | Refusal::NoServiceId
            | Refusal::NoCheckId => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.to_string())
    }
}
