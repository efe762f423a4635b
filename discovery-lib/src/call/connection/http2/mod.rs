//! HTTP/2 (RFC 9113).
//!
//! The calls to an instance share a connection, each with a stream of its own. Unlike a connection of HTTP/1.1 it has a task that drives it
//! ([`shared`]): several calls wait for it. A request and its body are sent by the task of its call ([`sending`]); if the response begins
//! before the body has ended, the rest has a task of its own, which the call owns.
//!
//! A peer that is silently gone is noticed by the probes of TCP ([`keepalive`](crate::keepalive)), not by PING frames: gRPC servers close a
//! connection with more than a few of those (`too_many_pings`). And a connection on which nothing arrived while a call waited in vain is
//! not used for further calls.

mod incoming;
mod lost;
mod sending;
mod shared;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame};
use tokio::{runtime, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use self::{
    sending::{BodyFailed, Sending},
    shared::{Shared, Slot},
};
use super::{
    super::{
        failed_try::TryError,
        request::Outgoing,
        tries::{Deadline, Limits, TryOutcome, TryTimer},
    },
    Connection, HEAD_MAX, HEADERS_MAX, Share,
    alarm::Alarm,
    incoming::{BrokenOff, Incoming as AnyIncoming},
    transport::Transport,
};

pub(super) use incoming::Incoming;

/// One user of a connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    connection: Arc<Shared>,
    /// None in the list of idle connections.
    slot: Option<Slot>,
    /// The rest of the body of the last request.
    upload: Option<AbortOnDropHandle<()>>,
    alarm: Option<Alarm>,
}

/// A request under way.
struct Exchange {
    response: ResponseFuture,
    /// None without a body.
    body: Option<Sending>,
    timer: TryTimer,
}

/// Why there is no response.
enum Lost {
    /// The body failed.
    Body,
    Stream(h2::Error),
}

impl Http2 {
    pub(super) async fn open(transport: Transport, deadline: Deadline) -> Result<Self, TryError> {
        let connection = Shared::open(transport, deadline).await?;
        let slot = connection.slot();
        Ok(Self { slot, ..Self::unused(connection) })
    }

    fn unused(connection: Arc<Shared>) -> Self {
        Self { connection, slot: None, upload: None, alarm: None }
    }

    /// The same connection, for the list of idle connections.
    pub(super) fn listed(&self) -> Self {
        Self::unused(Arc::clone(&self.connection))
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.connection.is_in_use()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }

    fn start(&self, request: &Outgoing<'_>, limits: Limits) -> Result<Exchange, TryOutcome> {
        let (head, content) = request.to_http2(self.connection.scheme());
        let sent = self.connection.sender().send_request(head, content.is_none());
        let (response, stream) = sent.map_err(|error| {
            tracing::debug!(%error, "request not sent");
            TryOutcome::IdleClosed
        })?;
        let body = content.map(|content| Sending::new(stream, content));
        Ok(Exchange { response, body, timer: TryTimer::new(limits) })
    }

    /// Sends a request and waits for the head of the response.
    async fn exchange(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> Result<Response<AnyIncoming>, TryOutcome> {
        let connection = Arc::clone(&self.connection);
        let traffic = connection.traffic();
        let before = traffic.written();
        if !connection.is_shared() {
            // Its end may have arrived while it was idle.
            traffic.ask_system();
        }
        let mut exchange = self.start(request, limits)?;
        let head = poll_fn(|cx| {
            if let Poll::Ready(head) = exchange.poll(cx) {
                return Poll::Ready(head.map_err(|lost| match lost {
                    Lost::Body => TryOutcome::OutOfTime(TryError::BodyFailed),
                    Lost::Stream(error) => lost::outcome(&error, traffic.written() == before),
                }));
            }
            let deadline = exchange.deadline();
            self.poll_late(deadline, cx).map(|()| Err(exchange.timer.late()))
        })
        .await?;
        self.upload = exchange.body.filter(|body| !body.has_ended()).map(Sending::spawn);
        let head = head.map(AnyIncoming::Http2);
        if is_too_long(head.headers()) {
            Err(TryOutcome::no_answer(TryError::HeadTooLong))
        } else {
            Ok(head)
        }
    }
}

impl Exchange {
    /// Sends the body, and polls for the head of the response.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Lost>> {
        // A response that is there is the response also if the body fails.
        if let Poll::Ready(head) = Pin::new(&mut self.response).poll(cx) {
            let incoming = |head: Response<_>| {
                let (head, stream) = head.into_parts();
                let body = Incoming::new(stream, &head.headers);
                Response::from_parts(head, body)
            };
            return Poll::Ready(head.map(incoming).map_err(Lost::Stream));
        }
        match self.body.as_mut().map(|body| body.poll(cx)) {
            Some(Poll::Ready(Err(BodyFailed))) => Poll::Ready(Err(Lost::Body)),
            _ => Poll::Pending,
        }
    }

    /// Until when to wait.
    fn deadline(&mut self) -> Deadline {
        match &self.body {
            Some(body) if body.is_starved() => self.timer.starved(),
            Some(body) => self.timer.until(body.has_ended(), body.written(), Instant::now),
            None => self.timer.until(true, 0, Instant::now),
        }
    }
}

/// Whether a head exceeds the limits, with 32 bytes for each header besides name and value (RFC 9113, 6.5.2).
fn is_too_long(headers: &HeaderMap) -> bool {
    let length: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    headers.len() > HEADERS_MAX || length > HEAD_MAX
}

impl Connection for Http2 {
    async fn send(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> Result<Response<AnyIncoming>, TryOutcome> {
        let read = self.connection.traffic().read();
        let sent = self.exchange(request, limits).await;
        match &sent {
            // The server goes away, or refuses more requests.
            Err(TryOutcome::IdleClosed | TryOutcome::NotConnected(_)) => self.connection.retire(),
            Err(TryOutcome::NoAnswer { why, .. })
                if why.is_late() && self.connection.traffic().read() == read =>
            {
                self.connection.retire();
            }
            _ => {}
        }
        sent
    }

    fn poll_frame(
        &mut self,
        body: &mut AnyIncoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Pin::new(body).poll_frame(cx)
    }

    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.get_or_insert_with(|| Alarm::new(deadline)).poll(deadline, cx)
    }

    /// Its last request has ended.
    fn is_usable(&mut self) -> bool {
        (self.slot, self.upload) = (None, None);
        !self.connection.has_ended()
    }

    fn runtime(&self) -> runtime::Id {
        self.connection.runtime()
    }

    fn share(&self) -> Share<Self> {
        if self.connection.has_ended() {
            return Share::Ended;
        }
        match self.connection.slot() {
            Some(slot) => Share::With(Self { slot: Some(slot), ..self.listed() }),
            None => Share::Full,
        }
    }
}
