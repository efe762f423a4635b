//! One HTTP/1.1 connection to one instance.
//!
//! It has no task of its own: whoever waits for its answer drives it, and an idle one is only data. So a request crosses no task
//! boundary, and a connection ends exactly when it is dropped.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::tried::Why;

/// The head of an answer may be so long, and a body is read in pieces of at most this size.
const BUFFER_MAX: usize = 64 * 1024;

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
    ended: bool,
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
    pub(crate) async fn open(stream: TcpStream) -> Result<Self, Why> {
        let opened =
            http1::Builder::new().max_buf_size(BUFFER_MAX).handshake(TokioIo::new(stream)).await;
        let (sender, driver) = opened.map_err(|_| Why::Closed)?;
        Ok(Self { sender, driver, ended: false })
    }

    /// Sends a request and waits for the head of its answer, for as long as that takes. A connection whose answer is given up has to be
    /// dropped.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Lost> {
        poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        })
        .await
        .map_err(|_| Lost::Unsent)?;
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
        .map_err(|mut lost| match lost.take_message() {
            Some(_) => Lost::Unsent,
            None if lost.error().is_parse() => Lost::Sent(Why::Garbled),
            None => Lost::Sent(Why::Closed),
        })
    }

    /// Reads and writes whatever can be, without waiting.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended
            && let Poll::Ready(end) = Pin::new(&mut self.driver).poll(cx)
        {
            self.ended = true;
            if let Err(error) = end {
                tracing::debug!(%error, "connection to an instance broke");
            }
        }
    }

    /// Whether it can take another request now.
    pub(crate) fn is_idle(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("ended", &self.ended).finish_non_exhaustive()
    }
}
