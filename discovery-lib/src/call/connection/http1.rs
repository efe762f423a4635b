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

use http::{Request, Response};
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
    runtime::{self, Handle},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    super::{
        failed_try::TryError,
        request::Outgoing,
        tries::{Deadline, Late, Limits, TryTimer},
    },
    socket::{Socket, Traffic},
    upload::Upload,
    waker::CoalescingWaker,
};

/// The head of an answer may be so long, and a body is read in pieces of at most this size.
pub(in crate::call) const HEAD_MAX: usize = 64 * 1024;
/// So many headers may an answer have. It is hyper's own limit; any other costs an allocation for each answer.
pub(in crate::call) const HEADERS_MAX: usize = 100;

pub(crate) struct Connection {
    sender: SendRequest<Upload>,
    /// None once the connection has ended: a request that waits in it is handed back only when it is dropped.
    driver: Option<http1::Connection<TokioIo<Socket>, Upload>>,
    traffic: Arc<Traffic>,
    waker: Arc<CoalescingWaker>,
    runtime: runtime::Id,
    /// Set for the deadline of some request, and for a later one only once it fires: most answers come long before, and setting a timer
    /// for each would cost more than everything else that waiting costs.
    timer: Pin<Box<Sleep>>,
}

/// Why a request got no answer on a connection.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The connection had ended before, and not a byte of the request was written: it is surely not served.
    Unsent,
    /// It may have been served.
    Sent(TryError),
    /// The caller did not send all of it: its body failed, or the call was over. It may have been served.
    OutOfTime(TryError),
}

impl Connection {
    /// The deadline is that of the first answer.
    pub(crate) async fn open(stream: TcpStream, deadline: Deadline) -> Result<Self, TryError> {
        let (socket, traffic) = Socket::new(stream);
        let opened = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .writev(false)
            .handshake(TokioIo::new(socket))
            .await;
        let (sender, driver) = opened.map_err(|_| TryError::Closed)?;
        let timer = Box::pin(sleep_until(deadline.at));
        let (waker, runtime) = (CoalescingWaker::new(), Handle::current().id());
        Ok(Self { sender, driver: Some(driver), traffic, waker, runtime, timer })
    }

    /// The runtime on which it was opened. It is of use only while that drives it.
    pub(crate) fn runtime(&self) -> runtime::Id {
        self.runtime
    }

    /// Sends a request and waits for the head of its answer. A connection whose answer is given up has to be dropped.
    pub(crate) async fn send(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> Result<Response<Incoming>, Lost> {
        let written = self.traffic.written();
        if written > 0 {
            self.traffic.ask_system();
        }
        let mut timer = TryTimer::new(limits);
        let request = request.to_http(&self.traffic);
        // It is driven first: hyper reads before it writes, so a connection that has ended takes no request.
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match self.poll(cx, |_, cx| answer.as_mut().poll(cx)) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(|error| self.lost(error, written))),
            Poll::Pending => {
                let (is_sent, written) = (self.traffic.is_sent(), self.traffic.written());
                let deadline = if self.traffic.is_starved() {
                    timer.starved()
                } else {
                    timer.until(is_sent, written, Instant::now)
                };
                self.poll_late(deadline, cx).map(|()| Err(timer.late().into()))
            }
        })
        .await
    }

    /// Why there is no answer to a request before which so many bytes had been written.
    fn lost(&self, mut lost: TrySendError<Request<Upload>>, written: u64) -> Lost {
        let error = lost.take_message().is_none().then(|| lost.error());
        match error {
            None => Lost::Unsent,
            Some(error) if error.is_user() => Lost::OutOfTime(TryError::BodyFailed),
            Some(_) if self.traffic.written() == written => Lost::Unsent,
            Some(error) if error.is_parse_too_large() => Lost::Sent(TryError::HeadTooLong),
            Some(error) if error.is_parse() => Lost::Sent(TryError::Garbled),
            Some(_) => Lost::Sent(TryError::Closed),
        }
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > deadline.at {
            self.timer.as_mut().reset(deadline.at);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() >= deadline.at {
                return Poll::Ready(());
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
        let waker = Arc::clone(&self.waker);
        waker.poll(cx, |cx| {
            self.drive(cx);
            what_comes(self, cx)
        })
    }

    /// Notices the end of the last answer, and leaves nobody to be woken. Says whether it can take another request now.
    pub(crate) fn rest(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let is_idle = |it: &mut Self, _: &mut Context<'_>| match it.driver.is_some()
            && it.sender.is_ready()
        {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        self.poll(&mut nobody, is_idle).is_ready()
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(end) = Pin::new(driver).poll(cx)
        {
            self.driver = None;
            if let Err(error) = end {
                tracing::debug!(%error, "connection to an instance broke");
            }
        }
    }
}

impl From<Late> for Lost {
    fn from(late: Late) -> Self {
        match late {
            Late::Instance(why) => Self::Sent(why),
            Late::Call(why) => Self::OutOfTime(why),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("traffic", &self.traffic).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn a_request_of_which_nothing_could_be_written_is_unsent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let deadline = Deadline::after(Duration::from_secs(10), Instant::now());
        let mut connection = Connection::open(stream, deadline).await.unwrap();
        // Reset, which the runtime does not hear of before it writes.
        let (peer, _) = listener.accept().unwrap();
        peer.set_nonblocking(true).unwrap();
        TcpStream::from_std(peer).unwrap().set_zero_linger().unwrap();
        let (service, stall) = (HeaderValue::from_static("service2"), Duration::from_secs(10));
        let request = Outgoing::new(Request::new(().into()), &service);
        let limits = Limits { answer: deadline, attempt: stall, stall, until: deadline };
        let sent = connection.send(&request, limits).await;
        assert!(matches!(sent, Err(Lost::Unsent)), "{sent:?}");
    }
}
