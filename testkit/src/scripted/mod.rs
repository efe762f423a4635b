//! An HTTP agent that misbehaves on command, on a real socket. It sends bytes instead of responses, so it can break each rule of HTTP and of
//! Consul's API. Of a request it knows the target, the index and the wait; a request has no body.
//!
//! As Consul, it does not notice that a client gave up a query: that connection counts until its wait ends.

mod connection;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use self::connection::Connection;

/// The pause after a failed accept, which prevents a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What the agent does with a request.
#[derive(Clone)]
pub enum Act {
    /// As Consul does at this index: answers at once, or if the query has this index or a higher one, when its wait has ended.
    Serve(u64, Bytes),
    /// Takes these steps at once.
    Steps(Arc<dyn Fn(Asked) -> Vec<Step> + Send + Sync>),
    /// Ends each connection, also those without a request.
    End(End),
}

/// What steps can depend on.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The number of requests since the act began, from 0.
    pub nth: u64,
    /// The index of the query, if it has one.
    pub index: Option<u64>,
}

/// A part of an answer. After the last one, the connection waits for its next request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes over and over.
    Repeat(Bytes),
    /// Sends these bytes one by one, each after this pause.
    Drip(Bytes, Duration),
    /// Sends nothing more, and keeps the connection.
    Silence,
    /// Ends the sending side (FIN), and keeps the connection.
    HalfClose,
    /// Ends the connection.
    End(End),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// A running agent. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct Scripted {
    addr: SocketAddr,
    acts: watch::Sender<Scene>,
    counts: Arc<Counts>,
    _accepting: AbortOnDropHandle<()>,
}

/// An act, and the number of requests before it began.
#[derive(Debug, Clone)]
struct Scene {
    act: Act,
    before: u64,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    requests: AtomicU64,
    with_index: AtomicU64,
}

impl Scripted {
    /// Listens on a port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn start(act: Act) -> io::Result<Self> {
        Self::limited(act, usize::MAX).await
    }

    /// As [`Scripted::start`], and resets the connections above this number, as Consul does (`limits.http_max_conns_per_client`).
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn limited(act: Act, connections_max: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (acts, scenes) = watch::channel(Scene { act, before: 0 });
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, scenes, counts.clone(), connections_max));
        Ok(Self { addr, acts, counts, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Begins an act. It applies to the queries that wait as well; an answer that is being sent continues as it began.
    pub fn set(&self, act: Act) {
        let before = self.requests();
        self.acts.send_replace(Scene { act, before });
    }

    /// The number of accepted connections, including those that were refused.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// The number of connections that were reset because there were too many.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// The number of complete request heads.
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// The number of requests that had an index.
    pub fn with_index(&self) -> u64 {
        self.counts.with_index.load(Ordering::Relaxed)
    }
}

impl Act {
    /// The same steps for each request.
    pub fn always(steps: impl Into<Vec<Step>>) -> Self {
        let steps = steps.into();
        Self::Steps(Arc::new(move |_| steps.clone()))
    }

    /// Steps that depend on the request.
    pub fn each(steps: impl Fn(Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::Steps(Arc::new(steps))
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serve(index, _) => f.debug_tuple("Serve").field(index).finish_non_exhaustive(),
            Self::Steps(_) => f.debug_tuple("Steps").finish_non_exhaustive(),
            Self::End(end) => f.debug_tuple("End").field(end).finish(),
        }
    }
}

/// A response with these header lines, each ended by CRLF, and the length of its body.
pub fn response(status: u16, headers: &str, body: &str) -> Bytes {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into()
}

async fn accept(
    listener: TcpListener,
    scenes: watch::Receiver<Scene>,
    counts: Arc<Counts>,
    connections_max: usize,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                };
                counts.accepted.fetch_add(1, Ordering::Relaxed);
                if connections.len() < connections_max {
                    let connection = Connection::new(stream, scenes.clone(), counts.clone());
                    connections.spawn(connection.run());
                } else {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                    end(&stream, End::Reset);
                }
            }
        }
    }
}

/// Its connection ends when the stream is dropped.
fn end(stream: &TcpStream, end: End) {
    if end == End::Reset {
        // Fails only if the client has already disconnected.
        drop(stream.set_zero_linger());
    }
}

#[cfg(test)]
mod tests;
