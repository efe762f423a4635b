//! One connection of a scripted agent.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{Act, Asked, Counts, End, Scene, Step, end};

/// The size of the read buffer, in bytes.
const PIECE: usize = 16 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

pub(super) struct Connection {
    stream: TcpStream,
    scenes: watch::Receiver<Scene>,
    counts: Arc<Counts>,
    received: Vec<u8>,
}

/// A request, as far as it matters here.
struct Request {
    index: Option<u64>,
    /// The end of its wait.
    until: Instant,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        scenes: watch::Receiver<Scene>,
        counts: Arc<Counts>,
    ) -> Self {
        Self { stream, scenes, counts, received: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        let ended_by = loop {
            match self.exchange().await {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                // The client closed the connection.
                Err(_) => break End::Close,
            }
        };
        end(&self.stream, ended_by);
    }

    /// Answers one request; the result is the end of the connection, if this is it.
    async fn exchange(&mut self) -> io::Result<Option<End>> {
        let head = loop {
            if let Act::End(end) = self.scenes.borrow_and_update().act {
                return Ok(Some(end));
            }
            tokio::select! {
                head = head(&mut self.stream, &mut self.received) => break head?,
                changed = self.scenes.changed() => changed.map_err(io::Error::other)?,
            }
        };
        let request = Request::read(&head);
        let nth = self.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.counts.with_index.fetch_add(request.index.is_some().into(), Ordering::Relaxed);
        loop {
            let Scene { act, before } = self.scenes.borrow_and_update().clone();
            match act {
                Act::Serve(index, answer) if request.index.is_none_or(|asked| asked < index) => {
                    return self.stream.write_all(&answer).await.map(|()| None);
                }
                Act::Serve(_, answer) => tokio::select! {
                    () = sleep_until(request.until) => {
                        return self.stream.write_all(&answer).await.map(|()| None);
                    }
                    changed = self.scenes.changed() => changed.map_err(io::Error::other)?,
                },
                Act::Steps(steps) => {
                    let asked = Asked { nth: nth.saturating_sub(before), index: request.index };
                    return self.take(steps(asked)).await;
                }
                Act::End(end) => return Ok(Some(end)),
            }
        }
    }

    async fn take(&mut self, steps: Vec<Step>) -> io::Result<Option<End>> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.stream.write_all(&bytes).await?,
                Step::Repeat(bytes) => loop {
                    self.stream.write_all(&bytes).await?;
                },
                Step::Drip(bytes, pause) => self.drip(bytes, pause).await?,
                Step::Silence => std::future::pending().await,
                Step::HalfClose => self.stream.shutdown().await?,
                Step::End(end) => return Ok(Some(end)),
            }
        }
        Ok(None)
    }

    async fn drip(&mut self, bytes: Bytes, pause: Duration) -> io::Result<()> {
        for byte in bytes {
            sleep(pause).await;
            self.stream.write_u8(byte).await?;
        }
        Ok(())
    }
}

/// The next head, without what follows. Cancel-safe: what was received stays in the buffer.
async fn head(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(at) = received.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            let head = received.drain(..at + HEAD_END.len()).collect();
            return String::from_utf8(head).map_err(io::Error::other);
        }
        received.reserve(PIECE);
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

impl Request {
    fn read(head: &str) -> Self {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let value = |name| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
        };
        let number = |text: &str| text.parse::<u64>().ok();
        let index = value("index").and_then(|(_, text)| number(text));
        // The library's unit.
        let wait = value("wait").and_then(|(_, text)| number(text.strip_suffix("ms")?));
        let until = Instant::now() + Duration::from_millis(wait.unwrap_or(0));
        Self { index, until }
    }
}
