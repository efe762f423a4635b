//! Messages through a transfer, with sources and destinations that take any number of bytes at a time.

use std::{collections::VecDeque, task::Waker};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// A source that returns pieces of given lengths, and a destination that accepts so many bytes at a time. Each second poll is pending.
#[derive(Debug, Default)]
struct Pieces {
    bytes: VecDeque<u8>,
    sizes: VecDeque<usize>,
    is_pending: bool,
    got: Vec<u8>,
    accepts_max: usize,
}

impl Pieces {
    fn size(&mut self) -> Option<usize> {
        self.is_pending = !self.is_pending;
        let size = self.sizes.pop_front().unwrap_or(7);
        self.sizes.push_back(size);
        (!self.is_pending).then_some(size.max(1))
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(size) = self.size() else { return Poll::Pending };
        let count = size.min(self.bytes.len()).min(buf.remaining());
        buf.put_slice(&self.bytes.drain(..count).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.got.len() >= self.accepts_max {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Some(size) = self.size() else { return Poll::Pending };
        let before = self.got.len();
        for buf in bufs {
            let count = buf.len().min(size - (self.got.len() - before));
            self.got.extend_from_slice(&buf[..count]);
        }
        Poll::Ready(Ok(self.got.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Pieces {
    Pieces {
        bytes: bytes.iter().copied().collect(),
        sizes: sizes.iter().copied().collect(),
        accepts_max: usize::MAX,
        ..Pieces::default()
    }
}

/// Polls until it is ready: the result, and what is left of the source.
fn run(
    transfer: &mut Transfer,
    buffer: &mut Buffer,
    from: &mut Pieces,
    to: &mut Pieces,
) -> Result<(), Broken> {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = transfer.poll(&mut cx, from, buffer, to) {
            return result;
        }
    }
}

/// Bytes without a short period.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn in_chunks(data: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in data.chunks(size.max(1)) {
        out.extend_from_slice(format!("{:X};x=\"y\"\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nA: b\r\n\r\n");
    out
}

/// The data and the trailers of a chunked body that is well-formed.
fn out_of_chunks(mut body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut state, mut data) = (Chunked::Line, Vec::new());
    loop {
        match state.next(body).unwrap() {
            Step::Framing(count) => body = &body[count..],
            Step::Data(count) => {
                data.extend_from_slice(&body[..count]);
                body = &body[count..];
            }
            Step::End(count) => {
                assert_eq!(count, body.len());
                return (data, body.to_vec());
            }
            Step::More => panic!("not complete"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_message_arrives_whole_however_it_is_read_and_written(
        length in 0usize..100_000,
        chunk in 1usize..20_000,
        reads in prop::collection::vec(1usize..40_000, 1..6),
        writes in prop::collection::vec(1usize..40_000, 1..6),
        framing in 0..3,
        is_chunked_out in any::<bool>(),
        is_replayable in any::<bool>(),
    ) {
        let data = data(length);
        let (framing, body) = match framing {
            0 => (Framing::Length(data.len() as u64), data.clone()),
            1 => (Framing::Chunked, in_chunks(&data, chunk)),
            _ => (Framing::UntilClose, data.clone()),
        };
        let next: &[u8] = if framing == Framing::UntilClose { b"" } else { b"next" };
        let sending = if is_chunked_out { Sending::Chunked } else { Sending::Plain };
        // A body without bytes has no chunks: its head says so.
        prop_assume!(framing != Framing::Length(0));
        let mut transfer = Transfer::new(b"head".to_vec(), framing, sending, is_replayable);
        let (mut from, mut to, mut buffer) =
            (pieces(&[&body, next].concat(), &reads), pieces(b"", &writes), Buffer::new());
        run(&mut transfer, &mut buffer, &mut from, &mut to).unwrap();
        prop_assert!(transfer.is_done());
        let sent = to.got.strip_prefix(b"head").unwrap();
        if is_chunked_out {
            let (got, trailers) = out_of_chunks(sent);
            prop_assert!(got == data);
            let trailers_sent: &[u8] = if framing == Framing::Chunked { b"A: b\r\n\r\n" } else { b"\r\n" };
            prop_assert_eq!(trailers, trailers_sent);
        } else {
            prop_assert!(sent == data);
        }
        let left: Vec<u8> = buffer.filled().iter().copied().chain(from.bytes).collect();
        prop_assert_eq!(left, next);
    }

    /// The destination breaks at any byte; the next one gets the whole message, if it was short enough to be kept.
    #[test]
    fn a_message_that_was_kept_is_sent_again_from_its_start(
        length in 1usize..100_000,
        reads in prop::collection::vec(1usize..40_000, 1..6),
        writes in prop::collection::vec(1usize..40_000, 1..6),
        breaks_at in 0usize..100_000,
        is_chunked in any::<bool>(),
    ) {
        let data = data(length);
        let (framing, body) = match is_chunked {
            true => (Framing::Chunked, in_chunks(&data, 3000)),
            false => (Framing::Length(data.len() as u64), data.clone()),
        };
        let sending = if is_chunked { Sending::Chunked } else { Sending::Plain };
        let mut transfer = Transfer::new(b"head".to_vec(), framing, sending, true);
        let (mut from, mut buffer) = (pieces(&body, &reads), Buffer::new());
        let mut to = Pieces { accepts_max: breaks_at, ..pieces(b"", &writes) };
        let result = run(&mut transfer, &mut buffer, &mut from, &mut to);
        prop_assume!(matches!(result, Err(Broken::Destination)));
        let is_kept = transfer.rewind();
        prop_assert!(is_kept || body.len() + 4 > REPLAYED_MAX - 1000);
        prop_assert!(!is_kept || !transfer.has_begun());
        if is_kept {
            let mut to = pieces(b"", &writes);
            run(&mut transfer, &mut buffer, &mut from, &mut to).unwrap();
            let sent = to.got.strip_prefix(b"head").unwrap();
            let got = if is_chunked { out_of_chunks(sent).0 } else { sent.to_vec() };
            prop_assert!(got == data);
        }
    }
}

#[test]
fn an_end_of_the_source_within_the_body_is_an_error_after_what_came() {
    for (framing, body) in [
        (Framing::Length(5), &b"abcd"[..]),
        (Framing::Chunked, b"4\r\nabcd\r\n"),
        (Framing::Chunked, b"5\r\nabcd"),
        (Framing::Chunked, b"4\r\nabcd\r\n0\r\n"),
    ] {
        let mut transfer = Transfer::new(Vec::new(), framing, Sending::Plain, false);
        let (mut from, mut to) = (pieces(body, &[3]), pieces(b"", &[3]));
        let result = run(&mut transfer, &mut Buffer::new(), &mut from, &mut to);
        assert!(matches!(result, Err(Broken::Source)), "{body:?}: {result:?}");
        assert_eq!(to.got, b"abcd");
    }
}

#[test]
fn a_malformed_body_is_an_error_after_what_came() {
    let mut transfer = Transfer::new(Vec::new(), Framing::Chunked, Sending::Chunked, false);
    let (mut from, mut to) = (pieces(b"1\r\na\r\nx\r\n", &[3]), pieces(b"", &[3]));
    let result = run(&mut transfer, &mut Buffer::new(), &mut from, &mut to);
    assert!(matches!(result, Err(Broken::Malformed)), "{result:?}");
    assert_eq!(to.got, b"1\r\na\r\n");
}

#[test]
fn what_is_not_sent_is_read_to_its_end() {
    let mut transfer = Transfer::new(Vec::new(), Framing::Chunked, Sending::Nothing, false);
    let (mut from, mut to) = (pieces(b"1\r\na\r\n0\r\n\r\nnext", &[3]), pieces(b"", &[3]));
    run(&mut transfer, &mut Buffer::new(), &mut from, &mut to).unwrap();
    assert_eq!(to.got, b"");
}

#[test]
fn sizes_of_chunks_are_hexadecimal() {
    for (size, line) in
        [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (32768, "8000\r\n"), (43981, "abcd\r\n")]
    {
        let mut out = Vec::new();
        push_size(&mut out, size);
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }
}
