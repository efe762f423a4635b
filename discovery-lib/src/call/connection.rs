//! One HTTP/1.1 connection to one instance.
//!
//! It has no task of its own: whoever waits for its answer drives it, and an idle one is only data. So a request crosses no task
//! boundary, and a connection ends exactly when it is dropped.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep_until},
};

use super::{bell::Bell, deadlines::Deadline, tried::Why};

/// The head of an answer may be so long, and a body is read in pieces of at most this size.
const BUFFER_MAX: usize = 64 * 1024;

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
    ended: bool,
    bell: Arc<Bell>,
    /// Set for the deadline of some request, and for a later one only once it fires: most answers come long before, and setting a timer
    /// for each would cost more than everything else that waiting costs.
    timer: Pin<Box<Sleep>>,
}

/// Why a request got no answer on a connection.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The connection had ended before: the request is surely not served.
    Unsent,
    /// It may have been served.
    Sent(Why),
}

impl Connection {
    pub(crate) async fn open(stream: TcpStream, deadline: Deadline) -> Result<Self, Why> {
        let opened = http1::Builder::new()
            .max_buf_size(BUFFER_MAX)
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, driver) = opened.map_err(|_| Why::Closed)?;
        let timer = Box::pin(sleep_until(deadline.at));
        Ok(Self { sender, driver, ended: false, bell: Bell::new(), timer })
    }

    /// Sends a request and waits for the head of its answer until the deadline. A connection whose answer is given up has to be dropped.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        deadline: Deadline,
    ) -> Result<Response<Incoming>, Lost> {
        if !self.sender.is_ready() {
            self.ready(deadline).await?;
        }
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match self.poll(cx, |_, cx| answer.as_mut().poll(cx)) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(lost)),
            Poll::Pending => self.poll_late(deadline, cx).map(Err),
        })
        .await
    }

    /// Waits until it can take a request: after it was opened, or when the end of the last answer is yet to be noticed.
    async fn ready(&mut self, deadline: Deadline) -> Result<(), Lost> {
        poll_fn(|cx| match self.poll(cx, |connection, cx| connection.sender.poll_ready(cx)) {
            Poll::Ready(ready) => Poll::Ready(ready.map_err(|_| Lost::Unsent)),
            Poll::Pending => self.poll_late(deadline, cx).map(Err),
        })
        .await
    }

    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<Lost> {
        if self.timer.deadline() > deadline.at {
            self.timer.as_mut().reset(deadline.at);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() >= deadline.at {
                return Poll::Ready(Lost::Sent(Why::Silent(deadline.span)));
            }
            self.timer.as_mut().reset(deadline.at);
        }
        Poll::Pending
    }

    /// Polls for what comes by this connection, reading and writing whatever can be.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut what_comes: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let bell = Arc::clone(&self.bell);
        bell.poll(cx, |cx| {
            self.drive(cx);
            what_comes(self, cx)
        })
    }

    /// Notices the end of the last answer, and leaves nobody to be woken. Says whether it can take another request now.
    pub(crate) fn rest(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let is_idle = |it: &mut Self, _: &mut Context<'_>| match !it.ended && it.sender.is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        self.poll(&mut nobody, is_idle).is_ready()
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended
            && let Poll::Ready(end) = Pin::new(&mut self.driver).poll(cx)
        {
            self.ended = true;
            if let Err(error) = end {
                tracing::debug!(%error, "connection to an instance broke");
            }
        }
    }
}

fn lost(mut lost: TrySendError<Request<Full<Bytes>>>) -> Lost {
    match lost.take_message() {
        Some(_) => Lost::Unsent,
        None if lost.error().is_parse() => Lost::Sent(Why::Garbled),
        None => Lost::Sent(Why::Closed),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("ended", &self.ended).finish_non_exhaustive()
    }
}
