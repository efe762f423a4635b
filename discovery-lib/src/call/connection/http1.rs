//! HTTP/1.1.
//!
//! A connection has no task of its own: the task that waits for the response drives it, and an idle one is only data. So a request crosses
//! no task boundary, and a connection is closed exactly when it is dropped.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::client::conn::{
    TrySendError,
    http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    runtime::{self, Handle},
    time::Instant,
};

use super::{
    super::{
        failed_try::TryError,
        request::Outgoing,
        tries::{Deadline, Limits, TryOutcome, TryTimer},
    },
    Connection, HEAD_MAX, Share,
    alarm::Alarm,
    incoming::{BrokenOff, Incoming},
    socket::Traffic,
    transport::Transport,
    upload::Upload,
    waker::CoalescingWaker,
};

pub(crate) struct Http1 {
    sender: SendRequest<Upload>,
    /// None once the connection has ended: hyper returns a queued request only when the driver is dropped.
    driver: Option<http1::Connection<TokioIo<Transport>, Upload>>,
    traffic: Arc<Traffic>,
    waker: Arc<CoalescingWaker>,
    runtime: runtime::Id,
    alarm: Alarm,
}

impl Http1 {
    /// The deadline is that of the first response.
    pub(super) async fn open(transport: Transport, deadline: Deadline) -> Result<Self, TryError> {
        let traffic = transport.traffic();
        let opened = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .writev(false)
            .handshake(TokioIo::new(transport))
            .await;
        let (sender, driver) = opened.map_err(|_| TryError::Closed)?;
        let alarm = Alarm::new(deadline);
        let (waker, runtime) = (CoalescingWaker::new(), Handle::current().id());
        Ok(Self { sender, driver: Some(driver), traffic, waker, runtime, alarm })
    }
}

impl Connection for Http1 {
    fn runtime(&self) -> runtime::Id {
        self.runtime
    }

    async fn send(
        &mut self,
        request: &Outgoing<'_>,
        limits: Limits,
    ) -> Result<Response<Incoming>, TryOutcome> {
        let written = self.traffic.written();
        if written > 0 {
            self.traffic.ask_system();
        }
        let mut timer = TryTimer::new(limits);
        let request = request.to_http(&self.traffic);
        // The driver is polled first: hyper reads before it writes, so a connection that has ended accepts no request.
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match self.poll(cx, |_, cx| answer.as_mut().poll(cx)) {
            Poll::Ready(Ok(head)) => Poll::Ready(Ok(head.map(Incoming::Http1))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.lost(error, written))),
            Poll::Pending => {
                let (is_sent, written) = (self.traffic.is_sent(), self.traffic.written());
                let deadline = if self.traffic.is_starved() {
                    timer.starved()
                } else {
                    timer.until(is_sent, written, Instant::now)
                };
                self.poll_late(deadline, cx).map(|()| Err(timer.late()))
            }
        })
        .await
    }

    fn poll_late(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(deadline, cx)
    }

    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut body = Pin::new(body);
        self.poll(cx, |_, cx| body.as_mut().poll_frame(cx))
    }

    fn is_usable(&mut self) -> bool {
        let mut no_task = Context::from_waker(Waker::noop());
        let is_idle = |it: &mut Self, _: &mut Context<'_>| {
            if it.driver.is_some() && it.sender.is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        self.poll(&mut no_task, is_idle).is_ready()
    }

    fn share(&self) -> Share<Self> {
        Share::Alone
    }
}

impl Http1 {
    /// The reason for which a request has no response; `written` is the number of bytes written before it.
    fn lost(&self, mut lost: TrySendError<Request<Upload>>, written: u64) -> TryOutcome {
        let error = lost.take_message().is_none().then(|| lost.error());
        if let Some(why) = self.traffic.refusal() {
            return TryOutcome::NotConnected(why);
        }
        match error {
            None => TryOutcome::IdleClosed,
            Some(error) if error.is_user() => TryOutcome::OutOfTime(TryError::BodyFailed),
            Some(_) if self.traffic.written() == written => TryOutcome::IdleClosed,
            Some(error) if error.is_parse_too_large() => {
                TryOutcome::no_answer(TryError::HeadTooLong)
            }
            Some(error) if error.is_parse() => TryOutcome::no_answer(TryError::Garbled),
            Some(_) => TryOutcome::no_answer(TryError::Closed),
        }
    }

    /// Drives the connection, and polls for its result.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = Arc::clone(&self.waker);
        waker.poll(cx, |cx| {
            self.drive(cx);
            next(self, cx)
        })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(end) = Pin::new(driver).poll(cx)
        {
            self.driver = None;
            if let Err(error) = end {
                tracing::debug!(%error, "connection error");
            }
        }
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("traffic", &self.traffic).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_request_of_which_nothing_could_be_written_is_unsent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let deadline = Deadline::after(Duration::from_secs(10), Instant::now());
        let mut connection = Http1::open(Transport::plain(stream), deadline).await.unwrap();
        // A reset that becomes visible only when the runtime writes.
        let (peer, _) = listener.accept().unwrap();
        peer.set_nonblocking(true).unwrap();
        TcpStream::from_std(peer).unwrap().set_zero_linger().unwrap();
        let (service, stall) = (HeaderValue::from_static("service2"), Duration::from_secs(10));
        let request = Outgoing::new(Request::new(().into()), &service);
        let limits =
            Limits { connect: deadline, answer: deadline, attempt: stall, stall, until: deadline };
        let sent = connection.send(&request, limits).await;
        assert!(matches!(sent, Err(TryOutcome::IdleClosed)), "{sent:?}");
    }
}
