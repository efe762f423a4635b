//! The load: connections to one proxy, each with its next call after the answer to the last one.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::backend::Exchange;

/// For the calls that are in flight at the end of a run.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a read, for short and for long answers.
const BUFFER: usize = 4 * 1024;
const BUFFER_OF_BULK: usize = 256 * 1024;

/// How long a connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Kept,
    OneCall,
}

/// Connections that make calls while it runs. Kept ones are idle between two runs.
#[derive(Debug)]
pub(crate) struct Load(Vec<Client>);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    /// Of all calls, with the time to connect where each has its own connection. Sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn new(
        at: SocketAddr,
        exchange: Exchange,
        lifetime: Lifetime,
        connections: usize,
    ) -> Self {
        let client = |_| Client::new(at, exchange, lifetime);
        Self((0..connections).map(client).collect())
    }

    /// Makes calls for this long.
    ///
    /// # Errors
    /// A connection broke, or an answer was wrong or late.
    pub(crate) async fn run(&mut self, span: Duration) -> io::Result<Run> {
        let (mut running, started_at) = (JoinSet::new(), Instant::now());
        for client in self.0.drain(..) {
            running.spawn(client.calls(started_at + span));
        }
        let mut latencies = Vec::new();
        for result in joined(running, span + ANSWER_WITHIN).await? {
            let (client, of_client) = result?;
            self.0.push(client);
            latencies.extend(of_client);
        }
        let elapsed = started_at.elapsed();
        latencies.sort_unstable();
        Ok(Run { elapsed, latencies })
    }

    /// Makes one call per connection, one after the other.
    ///
    /// # Errors
    /// As [`Load::run`].
    pub(crate) async fn once(&mut self) -> io::Result<()> {
        for client in &mut self.0 {
            timeout(ANSWER_WITHIN, client.call()).await.map_err(|_| late())??;
        }
        Ok(())
    }
}

async fn joined<T: 'static>(running: JoinSet<T>, within: Duration) -> io::Result<Vec<T>> {
    timeout(within, running.join_all()).await.map_err(|_| late())
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {ANSWER_WITHIN:?}"))
}

/// One connection, or one after the other.
#[derive(Debug)]
struct Client {
    at: SocketAddr,
    exchange: Exchange,
    lifetime: Lifetime,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(at: SocketAddr, exchange: Exchange, lifetime: Lifetime) -> Self {
        let is_bulk = matches!(exchange, Exchange::Bulk | Exchange::GetBulk);
        let buffer = vec![0; if is_bulk { BUFFER_OF_BULK } else { BUFFER }];
        Self { at, exchange, lifetime, stream: None, buffer }
    }

    async fn calls(mut self, until: Instant) -> io::Result<(Self, Vec<Duration>)> {
        let (mut latencies, mut now) = (Vec::new(), Instant::now());
        while now < until {
            let started_at = now;
            self.call().await?;
            now = Instant::now();
            latencies.push(now - started_at);
        }
        Ok((self, latencies))
    }

    async fn call(&mut self) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.at).await?,
        };
        stream.write_all(self.exchange.request()).await?;
        self.answer(&mut stream).await?;
        if self.lifetime == Lifetime::Kept {
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Reads an answer to its end.
    async fn answer(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let (mut missing, mut last) = (self.exchange.answer_length(), 0);
        if self.exchange.is_http() {
            let (head, filled) = self.head(stream).await?;
            missing = missing.checked_sub(filled - head).ok_or_else(wrong)?;
            last = self.buffer[filled - 1];
        }
        while missing > 0 {
            let count = read(stream, &mut self.buffer).await?;
            missing = missing.checked_sub(count).ok_or_else(wrong)?;
            last = self.buffer[count - 1];
        }
        if last == b'\n' { Ok(()) } else { Err(wrong()) }
    }

    /// The lengths of the head, and of what is in the buffer.
    async fn head(&mut self, stream: &mut TcpStream) -> io::Result<(usize, usize)> {
        let mut filled = 0;
        loop {
            filled += read(stream, &mut self.buffer[filled..]).await?;
            let ends = self.buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = ends {
                let is_ok = self.buffer.starts_with(b"HTTP/1.1 200 ");
                return if is_ok { Ok((end + 4, filled)) } else { Err(wrong()) };
            }
        }
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// At least one byte.
async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer).await? {
        0 => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the end of an answer"))
        }
        count => Ok(count),
    }
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer is not that of the backend")
}
