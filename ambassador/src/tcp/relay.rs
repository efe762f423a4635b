//! Relays bytes between two connections, both ways, until both have ended.
//!
//! Each way is a [`Flow`]: it reads only after all that it read before is written, so a slow reader slows its writer down (back-pressure). When
//! one end has closed its sending side, so is the other's (half-close), and the opposite way goes on. An error of either end resets the other:
//! what it received is not complete. So does dropping a relay before its end.

use std::{
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::buffers::{Buffer, Buffers};
use crate::{counters::Count, stream::Stream};

/// A relay: a future that ends when both ways have.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    client: Stream,
    instance: Stream,
    /// From the client to the instance.
    up: Flow,
    /// From the instance to the client.
    down: Flow,
    buffers: &'a Rc<Buffers>,
    traffic: Traffic<'a>,
    is_done: bool,
}

/// Where forwarded bytes are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic<'a> {
    pub(crate) to_instance: &'a Count,
    pub(crate) to_client: &'a Count,
}

/// One way of a relay.
#[derive(Debug)]
enum Flow {
    Reading,
    /// These bytes of the buffer are to be written.
    Writing {
        buffer: Buffer,
        start: usize,
        end: usize,
    },
    /// The source has ended: the sending side is to be closed.
    Closing,
    Done,
}

/// The end that failed.
#[derive(Debug)]
pub(crate) enum Broken {
    Client(io::Error),
    Instance(io::Error),
}

/// The side of a flow that failed.
enum Side {
    From(io::Error),
    To(io::Error),
}

impl<'a> Relay<'a> {
    pub(crate) fn new(
        client: Stream,
        instance: Stream,
        buffers: &'a Rc<Buffers>,
        traffic: Traffic<'a>,
    ) -> Self {
        let (up, down) = (Flow::Reading, Flow::Reading);
        Self { client, instance, up, down, buffers, traffic, is_done: false }
    }
}

impl Future for Relay<'_> {
    type Output = Result<(), Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { client, instance, up, down, buffers, traffic, is_done } = self.get_mut();
        let up = up.poll(cx, client, instance, buffers, traffic.to_instance);
        let up = up.map_err(|side| side.ends(Broken::Client, Broken::Instance))?;
        let down = down.poll(cx, instance, client, buffers, traffic.to_client);
        let down = down.map_err(|side| side.ends(Broken::Instance, Broken::Client))?;
        if up.is_pending() || down.is_pending() {
            return Poll::Pending;
        }
        *is_done = true;
        Poll::Ready(Ok(()))
    }
}

impl Flow {
    /// Forwards what there is.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        buffers: &Buffers,
        count: &Count,
    ) -> Poll<Result<(), Side>> {
        loop {
            match self {
                Self::Reading => {
                    let mut buffer = buffers.take();
                    let mut read = ReadBuf::new(&mut buffer);
                    let polled = Pin::new(&mut *from).poll_read(cx, &mut read);
                    let end = read.filled().len();
                    if end > 0 {
                        *self = Self::Writing { buffer, start: 0, end };
                        continue;
                    }
                    buffers.give_back(buffer);
                    match polled {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(Side::From(error))),
                        Poll::Ready(Ok(())) => *self = Self::Closing,
                    }
                }
                Self::Writing { buffer, start, end } => {
                    match Pin::new(&mut *to).poll_write(cx, &buffer[*start..*end]) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(Side::To(error))),
                        Poll::Ready(Ok(written)) => {
                            count.add(written as u64);
                            *start += written;
                        }
                    }
                    if start == end {
                        buffers.give_back(std::mem::take(buffer));
                        *self = Self::Reading;
                    }
                }
                Self::Closing => match Pin::new(&mut *to).poll_shutdown(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) if error.kind() != io::ErrorKind::NotConnected => {
                        return Poll::Ready(Err(Side::To(error)));
                    }
                    Poll::Ready(_) => *self = Self::Done,
                },
                Self::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Side {
    fn ends(self, from: fn(io::Error) -> Broken, to: fn(io::Error) -> Broken) -> Broken {
        match self {
            Self::From(error) => from(error),
            Self::To(error) => to(error),
        }
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.client.reset_on_drop();
            self.instance.reset_on_drop();
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => write!(f, "by the client: {error}"),
            Self::Instance(error) => write!(f, "by the instance: {error}"),
        }
    }
}
