//! The HTTP client over sockets.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Request, Response,
    header::{AUTHORIZATION, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    AgentSettings, BasicAuth,
    connect::{ConnectError, Connector},
    exchange::{Exchanging, Failure, Http, Limit},
};
use crate::error::{Error, Kind};

/// An idle connection is closed after this time. Longer than the interval of heartbeats, so that they share a connection.
const IDLE_MAX: Duration = Duration::from_secs(60);
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("discovery/", env!("CARGO_PKG_VERSION")));

type Client = legacy::Client<Connector, Full<Bytes>>;

/// An HTTP client over sockets. It can be replaced while it is used.
#[derive(Debug)]
pub(super) struct Sockets {
    client: ArcSwap<Client>,
    connector: Connector,
    auth: Option<HeaderValue>,
}

impl Sockets {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The settings can't be used.
    pub(super) fn new(settings: &AgentSettings) -> Result<Self, Error> {
        let connector = Connector::new(&settings.address, &settings.tls)?;
        let auth = settings.auth.as_ref().map(basic_auth).transpose()?;
        Ok(Self { client: ArcSwap::from_pointee(client(&connector)), connector, auth })
    }

    async fn send(
        &self,
        client: &Client,
        mut request: Request<Bytes>,
        limit: Limit,
    ) -> Result<Response<Bytes>, Failure> {
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.auth.clone().map(|auth| (AUTHORIZATION, auth)));
        let response = client.request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|err| self.failed(&err))?.into_parts();
        let max = if head.status.is_success() { limit.success } else { limit.other };
        let body = read(body, max, head.status.is_success()).await?;
        Ok(Response::from_parts(head, body))
    }

    /// Why there is no head of a response.
    fn failed(&self, err: &legacy::Error) -> Failure {
        let causes = || std::iter::successors(err.source(), |&err| err.source());
        if let Some(err) = causes().find_map(|cause| cause.downcast_ref::<ConnectError>()) {
            return err.clone().into();
        }
        if let Some(reason) = self.connector.refusal(err) {
            return Failure::NoTls(reason);
        }
        let is_parse = |cause: &(dyn StdError + 'static)| {
            cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
        };
        // The innermost cause, which is specific; the outer ones only state that they failed.
        let root = causes().last().map_or_else(|| err.to_string(), ToString::to_string);
        if causes().any(is_parse) { Failure::NotHttp(root) } else { Failure::Closed(root) }
    }
}

impl Http for Sockets {
    fn exchange(&self, request: Request<Bytes>, limit: Limit) -> Exchanging<'_> {
        // Not held during the request: a replaced client is dropped with its last request.
        let client = Client::clone(&self.client.load());
        Box::pin(async move { self.send(&client, request, limit).await })
    }

    fn reconnect(&self) {
        self.client.store(Arc::new(client(&self.connector)));
    }
}

fn client(connector: &Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector.clone())
}

fn basic_auth(auth: &BasicAuth) -> Result<HeaderValue, Error> {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", auth.user, auth.password.reveal()));
    let mut header = HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|_| Error::new(Kind::Setting, "user and password can't be sent in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The body, up to `max` bytes. A longer one is a failure, or truncated if it is only shown.
async fn read(mut body: Incoming, max: usize, is_needed: bool) -> Result<Bytes, Failure> {
    let incomplete = |err: hyper::Error| {
        let root = std::iter::successors(Some(&err as &dyn StdError), |&err| err.source()).last();
        Failure::Incomplete(root.map_or_else(String::new, ToString::to_string))
    };
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await.transpose().map_err(incomplete)? {
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() <= max {
            read.extend_from_slice(&data);
        } else if is_needed {
            return Err(Failure::TooLong);
        } else {
            read.extend_from_slice(&data[..max - read.len()]);
            break;
        }
    }
    Ok(read.freeze())
}
