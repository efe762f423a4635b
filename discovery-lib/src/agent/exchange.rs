//! The HTTP client below [`Transport`](super::transport::Transport): one request, one response. Tests replace it with a simulated agent.

use std::{error::Error as StdError, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Address, AgentSettings, BasicAuth};
use crate::{
    error::{Error, Kind},
    names::Names,
};

/// The time to connect; without a connection, the agent is not reachable. It is on this machine or near it.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The idle time after which a connection is probed, and the interval of the probes. An agent that acknowledges none for [`SILENT_MAX`] (its
/// host lost its power or its network) is considered unreachable, also while a blocking query waits.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
#[cfg(target_os = "linux")]
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Without TCP_USER_TIMEOUT, this number of unacknowledged probes has the same effect.
const KEEPALIVE_PROBES: u32 = 3;
/// An idle connection is closed after this time. Longer than the interval of heartbeats, so that they share a connection.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The response to a request, boxed.
pub(crate) type Exchanging<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, Failure>> + Send + 'a>>;

/// Sends requests to an agent.
pub(crate) trait Http: fmt::Debug + Send + Sync {
    /// Sends a request, and reads the body of the response: up to `limit` bytes for its status. Dropping the future closes the connection.
    fn exchange(&self, request: Request<Bytes>, limit: Limit) -> Exchanging<'_>;

    /// Stops using the connections that are open now. Requests in flight continue.
    fn reconnect(&self);
}

/// The maximum length of a body that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Of a success: a longer body is a failure.
    pub(crate) success: usize,
    /// Of any other status: a longer body is truncated.
    pub(crate) other: usize,
}

/// The reason for which there is no response, with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Unreachable(String),
    /// The response is not HTTP.
    NotHttp(String),
    /// The connection was closed before the head of the response.
    Closed(String),
    /// The body ended early.
    Incomplete(String),
    /// The body is longer than its limit.
    TooLong,
}

/// An HTTP client over sockets. It can be replaced while it is used.
#[derive(Debug)]
pub(super) struct Sockets {
    client: ArcSwap<reqwest::Client>,
    address: Address,
    auth: Option<BasicAuth>,
    resolver: Resolver,
}

impl Sockets {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// No HTTP client can be built.
    pub(super) fn new(settings: &AgentSettings) -> Result<Self, Error> {
        let (address, auth) = (settings.address.clone(), settings.auth.clone());
        let resolver = Resolver::default();
        let client = ArcSwap::from_pointee(client(&address, &resolver)?);
        Ok(Self { client, address, auth, resolver })
    }
}

impl Http for Sockets {
    fn exchange(&self, request: Request<Bytes>, limit: Limit) -> Exchanging<'_> {
        // Not held during the request: a replaced client is dropped with its last request.
        let client = reqwest::Client::clone(&self.client.load());
        Box::pin(async move {
            let request = request.try_into().map_err(|err| closed(&err))?;
            let mut builder = reqwest::RequestBuilder::from_parts(client, request);
            if let Some(BasicAuth { user, password }) = &self.auth {
                builder = builder.basic_auth(user, Some(password.reveal()));
            }
            let mut response = builder.send().await.map_err(|err| closed(&err))?;
            let body = read(&mut response, limit).await?;
            let headers = std::mem::take(response.headers_mut());
            let mut read = Response::new(body);
            *read.status_mut() = response.status();
            *read.headers_mut() = headers;
            Ok(read)
        })
    }

    fn reconnect(&self) {
        if let Ok(client) = client(&self.address, &self.resolver) {
            self.client.store(Arc::new(client));
        }
    }
}

fn client(address: &Address, resolver: &Resolver) -> Result<reqwest::Client, Error> {
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
    if let Address::Unix(path) = address {
        builder = builder.unix_socket(path.as_path());
    }
    builder.build().map_err(|err| {
        Error::new(Kind::Setting, "the HTTP client can't be built from these settings").because(err)
    })
}

async fn read(response: &mut reqwest::Response, limit: Limit) -> Result<Bytes, Failure> {
    let is_success = response.status().is_success();
    let max = if is_success { limit.success } else { limit.other };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|err| Failure::Incomplete(root(&err)))? {
        if body.len() + chunk.len() <= max {
            body.extend_from_slice(&chunk);
        } else if is_success {
            return Err(Failure::TooLong);
        } else {
            body.extend_from_slice(&chunk[..max - body.len()]);
            break;
        }
    }
    Ok(body.freeze())
}

fn closed(err: &reqwest::Error) -> Failure {
    let is_parse = |cause: &(dyn StdError + 'static)| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
    };
    if err.is_connect() {
        Failure::Unreachable(root(err))
    } else if causes(err).any(is_parse) {
        Failure::NotHttp(root(err))
    } else {
        Failure::Closed(root(err))
    }
}

/// The innermost cause, which is specific; the outer ones only state that they failed.
fn root(err: &reqwest::Error) -> String {
    causes(err).last().map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

fn causes<'a>(err: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(err.source(), |&err| err.source())
}

/// Looks up the agent's host like the hosts of instances.
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
