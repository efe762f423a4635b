//! One connection through the proxy.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time,
};

use super::{Control, Counts, End, Mode};

/// The size of the copy buffer, in bytes.
const PIECE: usize = 16 * 1024;
/// Not a valid status line, TLS record or other protocol.
const GARBAGE: &[u8] = b"\x00\x01 not a known protocol \xff\xfe\r\n\r\n";

pub(super) struct Connection {
    client: TcpStream,
    upstream: SocketAddr,
    control: watch::Receiver<Control>,
    counts: Arc<Counts>,
}

impl Connection {
    pub(super) fn new(
        client: TcpStream,
        upstream: SocketAddr,
        control: watch::Receiver<Control>,
        counts: Arc<Counts>,
    ) -> Self {
        Self { client, upstream, control, counts }
    }

    pub(super) async fn run(mut self) {
        let mut control = self.control.clone();
        let ends = control.borrow().ends;
        let end = tokio::select! {
            // An upstream that fails or refuses is shown to the client as a reset.
            end = self.pass() => end.unwrap_or(End::Reset),
            ordered = control.wait_for(|now| now.ends != ends) => {
                ordered.map_or(End::Reset, |now| now.end)
            }
        };
        if matches!(end, End::Reset) {
            // Fails only if the client has already disconnected.
            drop(self.client.set_zero_linger());
        }
    }

    async fn pass(&mut self) -> io::Result<End> {
        let accepted_in = self.not_hanging().await;
        match accepted_in {
            Mode::Reset | Mode::Closed => return Ok(End::Reset),
            Mode::Garbage | Mode::Status(_) => {
                let piece = &mut vec![0; PIECE];
                let length = self.client.read(piece).await?;
                self.count(&piece[..length]);
                return self.answer(accepted_in).await;
            }
            Mode::Pass | Mode::Hang | Mode::Delay(_) => {}
        }
        let mut server = TcpStream::connect(self.upstream).await?;
        self.client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        self.both_ways(&mut server).await
    }

    async fn both_ways(&mut self, server: &mut TcpStream) -> io::Result<End> {
        let (mut received, mut answered) = (vec![0; PIECE], vec![0; PIECE]);
        let mut client_done = false;
        loop {
            self.not_hanging().await;
            tokio::select! {
                _ = self.control.changed() => {}
                length = self.client.read(&mut received), if !client_done => {
                    let piece = &received[..length?];
                    client_done = piece.is_empty();
                    if let Some(end) = self.forward(piece, server).await? {
                        return Ok(end);
                    }
                }
                length = server.read(&mut answered) => {
                    let length = length?;
                    self.not_hanging().await;
                    self.client.write_all(&answered[..length]).await?;
                    if length == 0 {
                        self.client.shutdown().await?;
                        return Ok(End::Close);
                    }
                }
            }
        }
    }

    /// Handles data from the client, by the current mode.
    async fn forward(&mut self, piece: &[u8], server: &mut TcpStream) -> io::Result<Option<End>> {
        if piece.is_empty() {
            server.shutdown().await?;
            return Ok(None);
        }
        self.count(piece);
        match self.not_hanging().await {
            mode @ (Mode::Garbage | Mode::Status(_)) => return self.answer(mode).await.map(Some),
            Mode::Delay(delay) => time::sleep(delay).await,
            Mode::Pass | Mode::Reset | Mode::Closed | Mode::Hang => {}
        }
        server.write_all(piece).await?;
        Ok(None)
    }

    /// Answers instead of the server.
    async fn answer(&mut self, mode: Mode) -> io::Result<End> {
        if let Mode::Status(status) = mode {
            let head =
                format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            self.client.write_all(head.as_bytes()).await?;
        } else {
            self.client.write_all(GARBAGE).await?;
        }
        self.client.shutdown().await?;
        Ok(End::Close)
    }

    /// Waits until the mode is not [`Mode::Hang`].
    async fn not_hanging(&mut self) -> Mode {
        match self.control.wait_for(|now| now.mode != Mode::Hang).await {
            Ok(now) => now.mode,
            // The proxy is dropped, and this connection will be closed.
            Err(_) => Mode::Reset,
        }
    }

    fn count(&self, piece: &[u8]) {
        let line_end = b" HTTP/1.1\r\n";
        let requests = piece.windows(line_end.len()).filter(|window| window == line_end).count();
        self.counts.requests.fetch_add(requests as u64, Ordering::Relaxed);
    }
}
