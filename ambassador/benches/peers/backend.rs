//! A backend: echoes short messages, sends long ones, and answers HTTP, all on one port. It does little, as it may share a processor with the load.
//!
//! A client sends its next request after the answer to the last one.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::Result;

/// Bytes of a long answer, without the head of HTTP.
pub(crate) const BULK: usize = 4_000_000;
/// The answer of an instance of the hello chain: two lines.
const HELLO: &[u8] = b"Hello from 127.0.0.1:40000\nto 127.0.0.1:8002\n";
/// Bytes of a TCP request.
const MESSAGE: usize = 64;
const ECHO: &[u8; MESSAGE] = b"echo ..........................................................\n";
const SEND: &[u8; MESSAGE] = b"send ..........................................................\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: backend\r\nUser-Agent: peers\r\nAccept: */*\r\n\r\n";
const GET_BULK: &[u8] =
    b"GET /bulk HTTP/1.1\r\nHost: backend\r\nUser-Agent: peers\r\nAccept: */*\r\n\r\n";
/// Bytes of a head that a proxy has extended.
const HEAD_MAX: usize = 4096;

/// One request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A short message over TCP, which comes back.
    Echo,
    /// A short message over TCP, answered by a long one.
    Bulk,
    /// HTTP, with two lines in the answer.
    Get,
    /// HTTP, with a long answer.
    GetBulk,
}

impl Exchange {
    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            Self::Echo => ECHO,
            Self::Bulk => SEND,
            Self::Get => GET,
            Self::GetBulk => GET_BULK,
        }
    }

    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Get | Self::GetBulk)
    }

    /// Bytes of the answer, without the head of HTTP. The last one is a newline.
    pub(crate) fn answer_length(self) -> usize {
        match self {
            Self::Echo => MESSAGE,
            Self::Get => HELLO.len(),
            Self::Bulk | Self::GetBulk => BULK,
        }
    }

    /// What was requested; None while it is not complete.
    fn read(request: &[u8]) -> Option<Self> {
        let is_head = request.starts_with(b"GET ");
        match request.get(..9)? {
            b"GET /bulk" if request.ends_with(b"\r\n\r\n") => Some(Self::GetBulk),
            _ if is_head && request.ends_with(b"\r\n\r\n") => Some(Self::Get),
            _ if is_head || request.len() < MESSAGE => None,
            start if start.starts_with(b"send") => Some(Self::Bulk),
            _ => Some(Self::Echo),
        }
    }
}

/// Answers that are made once.
#[derive(Debug)]
struct Answers {
    hello: Vec<u8>,
    bulk: Vec<u8>,
    /// Of the head in front of `bulk`.
    head_length: usize,
}

impl Answers {
    fn new() -> Self {
        let head = |length: usize| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
            )
        };
        let (hello_head, bulk_head) = (head(HELLO.len()), head(BULK));
        let head_length = bulk_head.len();
        let mut bulk = bulk_head.into_bytes();
        bulk.resize(head_length + BULK - 1, b'.');
        bulk.push(b'\n');
        Self { hello: [hello_head.as_bytes(), HELLO].concat(), bulk, head_length }
    }

    fn to<'a>(&'a self, exchange: Exchange, request: &'a [u8]) -> &'a [u8] {
        match exchange {
            Exchange::Echo => request,
            Exchange::Bulk => &self.bulk[self.head_length..],
            Exchange::Get => &self.hello,
            Exchange::GetBulk => &self.bulk,
        }
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(at: SocketAddr) -> Result<()> {
    let (listener, answers) = (TcpListener::bind(at).await?, Arc::new(Answers::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks is seen by the load.
        tokio::spawn(answer(stream, Arc::clone(&answers)));
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Answers>) -> std::io::Result<()> {
    let (mut buffer, mut filled) = ([0; HEAD_MAX], 0);
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            count => filled += count,
        }
        let request = &buffer[..filled];
        if let Some(exchange) = Exchange::read(request) {
            stream.write_all(answers.to(exchange, request)).await?;
            filled = 0;
        }
    }
}
