//! The connection of a client, from one request to the next.

use std::{
    borrow::Cow,
    cell::Cell,
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use discovery::CallOptions;
use tokio::{io::AsyncWrite, time::Instant};

use super::{
    Proxy,
    alarm::Alarm,
    call::Tunnel,
    refusal::{Persistence, Refusal},
    scan::Scan,
    scratch::Scratch,
};
use crate::{
    stream::Stream,
    tcp::{relay_upgraded, sticky},
    worker::Drain,
};

/// For the client to accept an answer of the proxy, and afterwards to close its side.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read and dropped after the last answer: closing a socket with unread bytes resets it, and the answer would be lost.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// Empty lines that are ignored before a request (RFC 9112, 2.2).
const EMPTY_LINES_MAX: usize = 4;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection<'p> {
    pub(super) proxy: &'p Proxy,
    pub(super) client: Stream,
    pub(super) peer: Option<IpAddr>,
    pub(super) alarm: Alarm,
    pub(super) drain: Drain,
    /// Those of the proxy, with the key of the client if it is to stay with one instance.
    pub(super) options: Cow<'p, CallOptions>,
}

/// What follows a request.
#[derive(Debug)]
pub(super) enum After {
    /// The next one.
    Next,
    /// The connection is closed: all of the answer was sent, or as much of it as there is.
    Close,
    /// The same, while the client may still be sending.
    Linger,
    /// Another protocol.
    Tunnel(Box<Tunnel>),
}

/// Counts a connection that waits for a request.
struct Idle<'p>(&'p Cell<usize>);

impl<'p> Idle<'p> {
    fn new(count: &'p Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

enum Head {
    /// So many bytes.
    Complete(usize),
    /// The client has closed the connection.
    Closed,
    Refused(Refusal),
}

impl<'p> Connection<'p> {
    pub(super) fn new(proxy: &'p Proxy, client: Stream, drain: Drain) -> Self {
        let peer = client.peer().map(|peer| peer.ip());
        let mut options = Cow::Borrowed(proxy.options());
        if let Some(key) = peer.filter(|_| proxy.route.config.options.sticky).map(sticky::key) {
            options = Cow::Owned(proxy.options().clone().key(Some(key)));
        }
        // The head comes soon, usually: the timer is not set again for it.
        let first = proxy.idle_timeout().min(proxy.timeouts().head);
        let alarm = Alarm::new(Instant::now() + first);
        Self { proxy, client, peer, alarm, drain, options }
    }

    /// Serves its requests, one after the other, to its end.
    pub(super) async fn run(mut self) {
        while let Some(mut scratch) = self.next().await {
            // On the heap, so that an idle connection does not keep the memory of a request.
            let after = Box::pin(self.burst(&mut scratch)).await;
            match after {
                After::Next => self.proxy.spares.put(scratch),
                After::Close => return self.proxy.spares.put(scratch),
                After::Linger => {
                    self.linger(&mut scratch).await;
                    return self.proxy.spares.put(scratch);
                }
                // On the heap, so that other connections do not keep its memory.
                After::Tunnel(tunnel) => return Box::pin(self.tunnel(*tunnel, scratch)).await,
            }
        }
    }

    /// Waits for the first bytes of a request, without a buffer. None: there will be none.
    async fn next(&mut self) -> Option<Box<Scratch>> {
        let Self { proxy, client, alarm, drain, .. } = self;
        let until = Instant::now() + proxy.idle_timeout();
        let mut draining = pin!(drain.begun());
        let _idle = Idle::new(&proxy.idle);
        poll_fn(|cx| {
            // The runtime may be wrong: then the read is pending.
            if client.poll_read_ready(cx).is_ready() {
                let mut scratch = proxy.spares.take();
                let filled = scratch.requests.poll_fill(cx, client);
                if let Poll::Ready(Ok(1..)) = filled {
                    return Poll::Ready(Some(scratch));
                }
                proxy.spares.put(scratch);
                if filled.is_ready() {
                    return Poll::Ready(None);
                }
            }
            let is_over = draining.as_mut().poll(cx).is_ready() || alarm.poll(cx, until).is_ready();
            if is_over { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Serves requests while there are bytes of them.
    async fn burst(&mut self, scratch: &mut Scratch) -> After {
        loop {
            let after = match self.head(scratch).await {
                Head::Complete(length) => self.request(scratch, length).await,
                Head::Closed => After::Close,
                Head::Refused(refusal) => self.refuse(scratch, &refusal).await,
            };
            if !matches!(after, After::Next) || scratch.requests.is_empty() {
                return after;
            }
        }
    }

    async fn head(&mut self, scratch: &mut Scratch) -> Head {
        let Self { proxy, client, alarm, .. } = self;
        let (requests, within) = (&mut scratch.requests, proxy.timeouts().head);
        let (mut scan, mut empty_lines, mut until) = (Scan::default(), 0, None);
        poll_fn(|cx| {
            loop {
                // What can't be the start of a method is not HTTP, but for instance TLS: the client would wait for an answer to more.
                let is_text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b'\r' | b'\n');
                let is_http = requests.filled().first().is_none_or(is_text);
                match scan.head_end(requests.filled()) {
                    Ok(_) if !is_http => {
                        return Poll::Ready(Head::Refused(Refusal::bad("this is not HTTP")));
                    }
                    Err(_) => return Poll::Ready(Head::Refused(Refusal::BARE_LINE_END)),
                    Ok(Some(2)) if empty_lines < EMPTY_LINES_MAX => {
                        requests.consume(2);
                        (scan, empty_lines) = (Scan::default(), empty_lines + 1);
                        continue;
                    }
                    Ok(Some(length)) => return Poll::Ready(Head::Complete(length)),
                    Ok(None) if requests.is_full() => {
                        return Poll::Ready(Head::Refused(Refusal::HEAD_TOO_LONG));
                    }
                    Ok(None) => {}
                }
                match requests.poll_fill(cx, client) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Head::Closed),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {
                        let until = *until.get_or_insert_with(|| Instant::now() + within);
                        ready!(alarm.poll(cx, until));
                        return Poll::Ready(Head::Refused(Refusal::HEAD_LATE));
                    }
                }
            }
        })
        .await
    }

    /// Answers a request that is not understood. What follows it can't be trusted, so the connection is closed.
    pub(super) async fn refuse(&mut self, scratch: &mut Scratch, refusal: &Refusal) -> After {
        self.proxy.metrics().refused.add(1);
        self.answer(scratch, refusal, Persistence::Close, false).await
    }

    /// Sends an answer of the proxy.
    pub(super) async fn answer(
        &mut self,
        scratch: &mut Scratch,
        refusal: &Refusal,
        persistence: Persistence,
        is_head: bool,
    ) -> After {
        self.proxy.metrics().response(refusal.status);
        let out = &mut scratch.answer_head;
        out.clear();
        refusal.write(out, persistence, is_head);
        if self.send(out).await.is_err() {
            return After::Close;
        }
        if persistence == Persistence::Close { After::Linger } else { After::Next }
    }

    /// Sends these bytes to the client.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let until = Instant::now() + LINGER_MAX;
        send(&mut self.client, &mut self.alarm, bytes, until).await
    }

    /// Closes the sending side, and reads what the client sends until it closes its own.
    async fn linger(&mut self, scratch: &mut Scratch) {
        let Self { client, alarm, .. } = self;
        let (requests, until) = (&mut scratch.requests, Instant::now() + LINGER_MAX);
        let mut dropped = 0;
        poll_fn(|cx| {
            if ready!(Pin::new(&mut *client).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            while dropped < LINGER_BYTES_MAX {
                requests.clear();
                match requests.poll_fill(cx, client) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => dropped += count,
                    Poll::Pending => return alarm.poll(cx, until),
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Relays another protocol until both sides have ended, or a limit of the route.
    async fn tunnel(mut self, tunnel: Tunnel, scratch: Box<Scratch>) {
        let Tunnel { mut upstream, in_flight } = tunnel;
        self.proxy.metrics().upgraded.add(1);
        let until = Instant::now() + LINGER_MAX;
        // What came with the two heads is of the new protocol already.
        let sent = async {
            send(&mut upstream, &mut self.alarm, scratch.requests.filled(), until).await?;
            send(&mut self.client, &mut self.alarm, scratch.answers.filled(), until).await
        };
        if sent.await.is_err() {
            return;
        }
        let Self { proxy, client, drain, .. } = self;
        proxy.spares.put(scratch);
        relay_upgraded(client, upstream, in_flight, &proxy.route, &proxy.context, drain).await;
    }
}

/// A connection has ended, or accepts no more.
pub(super) struct Gone;

async fn send(
    stream: &mut Stream,
    alarm: &mut Alarm,
    bytes: &[u8],
    until: Instant,
) -> Result<(), Gone> {
    let mut sent = 0;
    poll_fn(|cx: &mut Context<'_>| {
        while sent < bytes.len() {
            match Pin::new(&mut *stream).poll_write(cx, &bytes[sent..]) {
                Poll::Ready(Ok(count)) if count > 0 => sent += count,
                Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                Poll::Pending => {
                    ready!(alarm.poll(cx, until));
                    return Poll::Ready(Err(Gone));
                }
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
