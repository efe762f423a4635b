//! A server of HTTP/2 that follows the script of a test, frame by frame (RFC 9113, 4.1).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200`, by its place in the static table of HPACK (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const INTERNAL_ERROR: u32 = 2;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// The reply to a request.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Reply {
    /// Sends these frames of a stream and waits for the next request.
    Send(fn(u32) -> Vec<u8>),
    /// Sends these frames of a stream and closes.
    SendAndClose(fn(u32) -> Vec<u8>),
}

/// A response with the body "hello".
pub(in super::super) const OK: Reply = Reply::Send(hello);
pub(super) const HANG: Reply = Reply::Send(|_| Vec::new());

pub(super) fn hello(stream: u32) -> Vec<u8> {
    [head(stream, &[]), frame(DATA, END_STREAM, stream, b"hello")].concat()
}

/// The head of a response with these headers, in HPACK.
pub(super) fn head(stream: u32, headers: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[&[STATUS_200], headers].concat())
}

/// A header in HPACK, as a literal that is not indexed.
pub(super) fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

pub(super) fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, bytes)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(super) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server on 127.0.0.1. Dropping it closes the listener and the connections.
pub(in super::super) struct Server {
    pub(in super::super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
    resets: AtomicUsize,
}

type Script = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

impl Server {
    /// Sends the same reply to every request.
    pub(in super::super) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply).await
    }

    /// The script returns the reply to the nth request, from 0.
    pub(super) async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let task = tokio::spawn(serve(listener, Arc::new(script), Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// Connections accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.seen.accepted.load(Relaxed)
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.seen.open.load(Relaxed)
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.seen.requests.load(Relaxed)
    }

    /// Requests that their caller abandoned.
    pub(super) fn resets(&self) -> usize {
        self.seen.resets.load(Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, script: Script, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.accepted.fetch_add(1, Relaxed);
        seen.open.fetch_add(1, Relaxed);
        let (script, seen) = (script.clone(), seen.clone());
        connections.spawn(async move {
            converse(stream, &script, &seen).await.ok();
            seen.open.fetch_sub(1, Relaxed);
        });
    }
}

async fn converse(mut stream: TcpStream, script: &Script, seen: &Seen) -> std::io::Result<()> {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [a, b, c, kind, flags, id @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            RST_STREAM => drop(seen.resets.fetch_add(1, Relaxed)),
            HEADERS => {
                let (nth, id) = (seen.requests.fetch_add(1, Relaxed), u32::from_be_bytes(id));
                match script(nth) {
                    Reply::Send(frames) => stream.write_all(&frames(id)).await?,
                    Reply::SendAndClose(frames) => return stream.write_all(&frames(id)).await,
                }
            }
            _ => {}
        }
    }
}
