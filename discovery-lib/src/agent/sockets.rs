//! The HTTP client over sockets.

use std::{
    error::Error as StdError,
    future::{Future as _, pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

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
    client::legacy::{
        self,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{select, task::unconstrained};

use super::{
    AgentSettings, BasicAuth,
    connect::{ConnectError, Connector},
    exchange::{Exchanging, Failure, Http, Limit},
    stream::End,
};
use crate::error::{Error, Kind};

/// An idle connection is closed after this time. Longer than the interval of heartbeats, so that they share a connection.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The connections that a request is tried on, if each ends before the request is sent: an agent that restarts closes all that are idle.
const TRIES_MAX: u32 = 3;
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
        let mut tries = 1;
        let (head, body) = loop {
            match self.head(client, request.clone()).await {
                Ok(response) => break response.into_parts(),
                Err(Failure::Unsent) if tries < TRIES_MAX => tries += 1,
                Err(failure) => return Err(failure),
            }
        };
        let max = if head.status.is_success() { limit.success } else { limit.other };
        let body = read(body, max, head.status.is_success()).await?;
        Ok(Response::from_parts(head, body))
    }

    /// Sends a request once, and waits for the head of its response.
    async fn head(
        &self,
        client: &Client,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = request.map(Full::new);
        let mut connection = capture_connection(&mut request);
        let mut response = pin!(client.request(request));
        let result = select! {
            biased;
            result = &mut response => result,
            () = ended(&mut connection) => {
                // hyper ends the requests that it sent before it drops a connection. One that was queued at that moment never ends.
                let last = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx)));
                match unconstrained(last).await {
                    Poll::Ready(result) => result,
                    Poll::Pending => return Err(self.unsent(end_of(&connection).as_ref())),
                }
            }
        };
        result.map_err(|err| self.failed(&err, end_of(&connection).as_ref()))
    }

    /// Why there is no head of a response.
    fn failed(&self, err: &legacy::Error, end: Option<&End>) -> Failure {
        if let Some(err) = causes(err).find_map(|cause| cause.downcast_ref::<ConnectError>()) {
            return err.clone().into();
        }
        let is = |is: fn(&hyper::Error) -> bool| {
            causes(err).filter_map(|cause| cause.downcast_ref()).any(is)
        };
        if is(hyper::Error::is_canceled) || is(hyper::Error::is_closed) {
            return self.unsent(end);
        }
        match self.connector.refusal(err) {
            Some(reason) => Failure::NoTls(reason),
            None if is(hyper::Error::is_parse) => Failure::NotHttp(root(err)),
            None => Failure::Closed(root(err)),
        }
    }

    /// The connection ended before the request was sent.
    fn unsent(&self, end: Option<&End>) -> Failure {
        let refusal = end.and_then(End::cause).and_then(|cause| self.connector.refusal(cause));
        refusal.map_or(Failure::Unsent, Failure::NoTls)
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
        // `Sockets::send` does, also on a connection that is new.
        .retry_canceled_requests(false)
        .build(connector.clone())
}

fn basic_auth(auth: &BasicAuth) -> Result<HeaderValue, Error> {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", auth.user, auth.password.reveal()));
    let mut header = HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|_| Error::new(Kind::Setting, "user and password can't be sent in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Waits for the end of the connection that a request got.
async fn ended(connection: &mut CaptureConnection) {
    let end = connection.wait_for_connection_metadata().await.as_ref().and_then(End::of);
    match end {
        Some(end) => end.reached().await,
        None => pending().await,
    }
}

fn end_of(connection: &CaptureConnection) -> Option<End> {
    connection.connection_metadata().as_ref().and_then(End::of)
}

/// The body, up to `max` bytes. A longer one is a failure, or truncated if it is only shown.
async fn read(mut body: Incoming, max: usize, is_needed: bool) -> Result<Bytes, Failure> {
    let incomplete = |err: hyper::Error| Failure::Incomplete(root(&err));
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

fn causes<'a>(
    err: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(err), |&err| err.source())
}

/// The innermost cause, which is specific; the outer ones only state that they failed.
fn root(err: &(dyn StdError + 'static)) -> String {
    causes(err).last().map_or_else(String::new, ToString::to_string)
}
