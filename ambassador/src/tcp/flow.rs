//! One way of a relay: reads from one end, writes to the other, and closes it at the end.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::buffers::{Buffer, Buffers};
use crate::stream::Stream;

/// One way of a relay. It holds a buffer only while the bytes in it can't be written.
#[derive(Debug, Default)]
pub(super) enum Flow {
    #[default]
    Reading,
    /// These bytes of the buffer are to be written.
    Writing {
        buffer: Buffer,
        start: usize,
        end: usize,
    },
    /// The source has ended: the sending side of the other end is to be closed.
    Closing,
    Done,
}

/// What one poll has done. Without a failure, the rest waits for one of the ends, or the flow is done.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) moved: u64,
    pub(super) failed: Option<Failed>,
}

/// The end that failed.
#[derive(Debug)]
pub(super) enum Failed {
    From(io::Error),
    To(io::Error),
}

impl Flow {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Whether the source has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Closing | Self::Done)
    }

    /// Forwards what there is. `is_last`: the opposite flow is done, so that both ends are closed right after this one.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        buffers: &Buffers,
        is_last: bool,
    ) -> Step {
        let mut step = Step::default();
        loop {
            let polled = match self {
                Self::Reading => self.read(cx, from, buffers).map_err(Failed::From),
                Self::Writing { .. } => {
                    self.write(cx, to, buffers, &mut step.moved).map_err(Failed::To)
                }
                // The connection is closed next, which closes its sending side.
                Self::Closing if is_last => {
                    *self = Self::Done;
                    return step;
                }
                Self::Closing => self.close(cx, to).map_err(Failed::To),
                Self::Done => return step,
            };
            match polled {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failed)) => {
                    step.failed = Some(failed);
                    return step;
                }
                Poll::Pending => return step,
            }
        }
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        buffers: &Buffers,
    ) -> Poll<io::Result<()>> {
        let mut buffer = buffers.take();
        let mut read = ReadBuf::new(&mut buffer);
        let polled = Pin::new(from).poll_read(cx, &mut read);
        let end = read.filled().len();
        if end > 0 {
            *self = Self::Writing { buffer, start: 0, end };
            return polled;
        }
        buffers.give_back(buffer);
        if let Poll::Ready(Ok(())) = polled {
            *self = Self::Closing;
        }
        polled
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        buffers: &Buffers,
        moved: &mut u64,
    ) -> Poll<io::Result<()>> {
        let Self::Writing { buffer, start, end } = self else { return Poll::Ready(Ok(())) };
        let written = ready!(Pin::new(to).poll_write(cx, &buffer[*start..*end]))?;
        *moved += written as u64;
        *start += written;
        if start == end {
            buffers.give_back(mem::take(buffer));
            *self = Self::Reading;
        }
        Poll::Ready(Ok(()))
    }

    fn close(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        Pin::new(to).poll_shutdown(cx).map(|closed| {
            *self = Self::Done;
            match closed {
                // It is closed already; its own flow finds out why.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                closed => closed,
            }
        })
    }
}
