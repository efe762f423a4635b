//! One message on its way from one connection to another: its head, which is ready to be written, and its body, which is decoded in the buffer of
//! its source and written from there.
//!
//! Small pieces are copied behind the head, so that most messages leave in one write; long ones are written from the buffer. Nothing is read
//! while there is something to write: a slow reader slows down the writer, and no more than the buffer is held.

use std::{
    io,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    buffer::Buffer,
    chunked::{Chunked, Malformed, Step},
    framing::Framing,
    trailers::write_trailers,
};

/// The longest piece that is copied. A copy costs less than a second slice of a write up to about here.
const COPIED_MAX: usize = 4 * 1024;
/// Pieces are copied up to so many bytes before they are written.
const GATHERED_MAX: usize = 16 * 1024;
/// A request, head and body, that is kept for another try. Longer ones are sent once. It bounds the memory of a request.
pub(super) const REPLAYED_MAX: usize = 64 * 1024;
const CRLF: &[u8] = b"\r\n";

/// How the body arrives, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Its bytes as they are: the length is announced, or it ends with the connection.
    Plain,
    /// In chunks.
    Chunked,
    /// Not at all: it is dropped.
    Nothing,
}

/// One message on its way.
#[derive(Debug)]
pub(super) struct Transfer {
    source: Source,
    sending: Sending,
    /// Bytes to be written: the head, then what is copied of the body.
    out: Vec<u8>,
    /// How many of them are written.
    written: usize,
    /// Bytes at the front of the source's buffer that are written from there, after `out`.
    direct: usize,
    /// The CRLF after them: what is left of it.
    direct_end: usize,
    /// Whether `out` still holds all that was sent, so that it can be sent again.
    is_replayable: bool,
    /// Whether anything was written to the present connection.
    has_begun: bool,
    moved: u64,
}

/// What ended a transfer before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its source was closed, or failed.
    Source,
    /// Its source sent a body that is not well-formed.
    Malformed,
    /// Its destination was closed, or failed.
    Destination,
}

/// How far the buffer was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    /// To the end of the body.
    All,
    /// To the limit of one write.
    Enough,
    /// All that is there.
    NeedsMore,
}

/// What a transfer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The next bytes of its source.
    Source,
    /// Its destination accepts no more for now.
    Destination,
}

impl Transfer {
    /// A message with this head. With `is_replayable` it is kept for another try while it is not longer than [`REPLAYED_MAX`].
    pub(super) fn new(head: Vec<u8>, body: Framing, sending: Sending, is_replayable: bool) -> Self {
        let source = match body {
            Framing::Length(0) => Source::Done,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Chunked::Line),
            Framing::UntilClose => Source::UntilClose,
        };
        Self {
            source,
            sending,
            out: head,
            written: 0,
            direct: 0,
            direct_end: 0,
            is_replayable,
            has_begun: false,
            moved: 0,
        }
    }

    /// The buffer of the head, empty, to be used again.
    pub(super) fn into_out(mut self) -> Vec<u8> {
        self.out.clear();
        self.out.shrink_to(GATHERED_MAX);
        self.out
    }

    /// Decodes what has arrived with the head.
    ///
    /// # Errors
    ///
    /// It is malformed: nothing of the message needs to be sent.
    pub(super) fn prepare(&mut self, buffer: &mut Buffer) -> Result<(), Malformed> {
        self.load(buffer).map(drop)
    }

    /// Whether everything is read from its source.
    pub(super) fn is_read(&self) -> bool {
        self.source == Source::Done
    }

    /// Bytes that were read and written so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether everything is read and written.
    pub(super) fn is_done(&self) -> bool {
        self.source == Source::Done && !self.has_output()
    }

    /// Whether anything was written since the start or [`Transfer::rewind`].
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Starts again, for another connection. False if a part that was sent is not kept.
    pub(super) fn rewind(&mut self) -> bool {
        if self.is_replayable {
            self.written = 0;
            self.has_begun = false;
        }
        self.is_replayable
    }

    /// Whether [`Transfer::rewind`] can start again.
    pub(super) fn is_replayable(&self) -> bool {
        self.is_replayable
    }

    /// Moves what can be moved. Ready when everything is written.
    ///
    /// # Errors
    ///
    /// A connection ended, or the body is malformed. What was decoded before that has been written.
    pub(super) fn poll<S, D>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        buffer: &mut Buffer,
        destination: &mut D,
    ) -> Poll<Result<(), Broken>>
    where
        S: AsyncRead + Unpin,
        D: AsyncWrite + Unpin,
    {
        loop {
            let loaded = self.load(buffer);
            while self.has_output() {
                let count = ready!(self.poll_write(cx, buffer, destination));
                self.wrote(count.map_err(|_| Broken::Destination)?, buffer);
            }
            match loaded {
                Err(Malformed) => return Poll::Ready(Err(Broken::Malformed)),
                Ok(Loaded::All) => return Poll::Ready(Ok(())),
                Ok(Loaded::Enough) => continue,
                Ok(Loaded::NeedsMore) => {}
            }
            match ready!(buffer.poll_fill(cx, source)) {
                Ok(0) if self.source == Source::UntilClose => self.end(&[]),
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Source)),
                Ok(count) => self.moved += count as u64,
            }
        }
    }

    /// What it waits for, after a poll that was not ready.
    pub(super) fn waiting(&self) -> Waiting {
        if self.has_output() { Waiting::Destination } else { Waiting::Source }
    }

    fn has_output(&self) -> bool {
        self.written < self.out.len() || self.direct > 0 || self.direct_end > 0
    }

    /// Decodes what is in the buffer: copies small pieces, up to a long one, which stays in the buffer.
    fn load(&mut self, buffer: &mut Buffer) -> Result<Loaded, Malformed> {
        while self.direct + self.direct_end == 0 && self.out.len() - self.written < GATHERED_MAX {
            let bytes = buffer.filled();
            let step = match &mut self.source {
                Source::Done => return Ok(Loaded::All),
                Source::Length(0) => Step::End(0),
                _ if bytes.is_empty() => return Ok(Loaded::NeedsMore),
                Source::Length(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= count as u64;
                    Step::Data(count)
                }
                Source::UntilClose => Step::Data(bytes.len()),
                Source::Chunked(state) => state.next(bytes)?,
            };
            match step {
                Step::More => return Ok(Loaded::NeedsMore),
                Step::Framing(count) => buffer.consume(count),
                Step::Data(count) => self.data(count, buffer),
                Step::End(count) => {
                    self.end(&buffer.filled()[..count]);
                    buffer.consume(count);
                }
            }
        }
        Ok(Loaded::Enough)
    }

    /// So many bytes at the front of the buffer are data.
    fn data(&mut self, count: usize, buffer: &mut Buffer) {
        if self.sending == Sending::Nothing {
            return buffer.consume(count);
        }
        self.is_replayable &= self.out.len() + count <= REPLAYED_MAX;
        if self.sending == Sending::Chunked {
            push_size(&mut self.out, count);
        }
        if self.is_replayable || count <= COPIED_MAX {
            self.out.extend_from_slice(&buffer.filled()[..count]);
            buffer.consume(count);
            if self.sending == Sending::Chunked {
                self.out.extend_from_slice(CRLF);
            }
        } else {
            self.direct = count;
            self.direct_end = if self.sending == Sending::Chunked { CRLF.len() } else { 0 };
        }
    }

    /// The body is complete; `section` has its trailers.
    fn end(&mut self, section: &[u8]) {
        self.source = Source::Done;
        if self.sending == Sending::Chunked {
            self.out.extend_from_slice(b"0\r\n");
            write_trailers(&mut self.out, section);
            self.out.extend_from_slice(CRLF);
        }
    }

    fn poll_write<D: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &Buffer,
        destination: &mut D,
    ) -> Poll<io::Result<usize>> {
        let slices = [
            IoSlice::new(&self.out[self.written..]),
            IoSlice::new(&buffer.filled()[..self.direct]),
            IoSlice::new(&CRLF[CRLF.len() - self.direct_end..]),
        ];
        let destination = Pin::new(destination);
        let count = ready!(match self.direct + self.direct_end {
            0 => destination.poll_write(cx, &slices[0]),
            _ => destination.poll_write_vectored(cx, &slices),
        })?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(count))
    }

    fn wrote(&mut self, count: usize, buffer: &mut Buffer) {
        self.has_begun = true;
        self.moved += count as u64;
        let of_out = count.min(self.out.len() - self.written);
        self.written += of_out;
        let of_direct = (count - of_out).min(self.direct);
        self.direct -= of_direct;
        buffer.consume(of_direct);
        self.direct_end -= count - of_out - of_direct;
        if !self.is_replayable && self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }
}

/// The line that starts a chunk.
fn push_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let count = (usize::BITS - size.leading_zeros()).div_ceil(4);
    out.extend((0..count).rev().map(|digit| DIGITS[(size >> (4 * digit)) & 15]));
    out.extend_from_slice(CRLF);
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
