//! A server that follows the script of a test, byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// The reply to a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// Sends these bytes and waits for the next request.
    Send(&'static str),
    /// Sends these bytes and closes.
    SendAndClose(&'static str),
    /// Sends only these bytes, and keeps the connection open.
    SendAndHang(&'static str),
    /// Sends these bytes and shuts down its sending side; it continues to read.
    SendAndShutDown(&'static str),
    /// Sends the first part, and the second part after a pause; then waits for the next request.
    SendSlowly(&'static str, Duration, &'static str),
}

pub(super) const OK: Reply = Reply::Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
pub(super) const CLOSE: Reply = Reply::SendAndClose("");
pub(super) const HANG: Reply = Reply::SendAndHang("");

/// A server on 127.0.0.1. Dropping it closes the listener and the connections.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

type Script = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

impl Server {
    /// Sends the same reply to every request.
    pub(super) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply).await
    }

    /// The script returns the reply to the nth request, from 0.
    pub(super) async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let task = tokio::spawn(serve(listener, Arc::new(script), seen.clone()));
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

    /// Heads and bodies of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
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
            converse(stream, &script, &seen).await;
            seen.open.fetch_sub(1, Relaxed);
        });
    }
}

async fn converse(mut stream: TcpStream, script: &Script, seen: &Seen) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        let request = read_request(&mut stream, &mut unread).await?;
        let nth = {
            let mut requests = seen.requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        match script(nth) {
            Reply::Send(bytes) => stream.write_all(bytes.as_bytes()).await.ok()?,
            Reply::SendAndClose(bytes) => return stream.write_all(bytes.as_bytes()).await.ok(),
            Reply::SendAndHang(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok()?;
                // Until the caller closes the connection.
                return stream.read_u8().await.ok().map(drop);
            }
            Reply::SendAndShutDown(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()?;
            }
            Reply::SendSlowly(first, pause, second) => {
                stream.write_all(first.as_bytes()).await.ok()?;
                sleep(pause).await;
                stream.write_all(second.as_bytes()).await.ok()?;
            }
        }
    }
}

/// One request with its body, if any; None at the end of the connection.
async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(unread);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let end = head.len() + 4 + length;
                let request = text[..end].to_owned();
                unread.drain(..end);
                return Some(request);
            }
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}
