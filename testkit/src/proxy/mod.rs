//! A TCP proxy that injects faults on command, in front of a healthy server. It understands only as much HTTP as it needs to answer in the
//! server's place and to count requests.

mod connection;

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use socket2::Socket;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use self::connection::Connection;
use crate::ports;

/// Commands are executed one at a time.
const COMMANDS_MAX: usize = 1;
/// The accept backlog.
const BACKLOG: i32 = 1024;
/// The pause after a failed accept, which prevents a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The fault mode of the proxy. It applies to open connections as well as to new ones unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Forwards bytes in both directions.
    Pass,
    /// Resets new connections after accept. Open ones are forwarded.
    Reset,
    /// Refuses new connections: there is no listener. Open ones are forwarded.
    Closed,
    /// Accepts connections and forwards nothing until another mode is set.
    Hang,
    /// Forwards, and delays each read (so each small request) from the client by this time.
    Delay(Duration),
    /// Answers a request with bytes that are not HTTP, and closes.
    Garbage,
    /// Answers a request with this HTTP status and no body, and closes.
    Status(u16),
}

/// A running proxy. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    commands: mpsc::Sender<PendingCommand>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// A command, and the channel for its completion.
type PendingCommand = (Command, oneshot::Sender<io::Result<()>>);

#[derive(Debug, Clone, Copy)]
enum Command {
    Set(Mode),
    End(End),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Gracefully (FIN).
    Close,
    /// Unread bytes are discarded, and the client sees a reset.
    Reset,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    requests: AtomicU64,
}

/// The state that every connection watches.
#[derive(Debug, Clone, Copy)]
struct Control {
    mode: Mode,
    /// Incremented by every order to close; a connection closes when it changes, in this way.
    ends: u64,
    end: End,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1 and forwards to `upstream`, which need not exist yet.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = ports::listen()?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let counts = Arc::new(Counts::default());
        let (control, _) = watch::channel(Control { mode: Mode::Pass, ends: 0, end: End::Close });
        let server = Server {
            upstream,
            listener: Listener::Open(listener),
            control,
            counts: counts.clone(),
            connections: JoinSet::new(),
        };
        let task = tokio::spawn(server.run(commands_rx));
        Ok(Self { addr, commands, counts, task })
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets the mode. Once this returns, it applies to new connections.
    ///
    /// # Errors
    ///
    /// The proxy can't stop or start to listen, or it has ended.
    pub async fn set(&self, mode: Mode) -> io::Result<()> {
        self.command(Command::Set(mode)).await
    }

    /// Resets all open connections. They are closed once this returns.
    ///
    /// # Errors
    ///
    /// The proxy has ended.
    pub async fn cut(&self) -> io::Result<()> {
        self.command(Command::End(End::Reset)).await
    }

    /// Closes all open connections gracefully (FIN), as servers do with idle ones. They are closed once this returns.
    ///
    /// # Errors
    ///
    /// The proxy has ended.
    pub async fn close(&self) -> io::Result<()> {
        self.command(Command::End(End::Close)).await
    }

    /// The number of accepted connections.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// The number of HTTP/1.1 requests. A request line that arrives in several reads is missed, but test clients write it at once.
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    async fn command(&self, command: Command) -> io::Result<()> {
        let stopped = || io::Error::other("the proxy has stopped");
        let (done, done_rx) = oneshot::channel();
        self.commands.send((command, done)).await.map_err(|_| stopped())?;
        done_rx.await.map_err(|_| stopped())?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    upstream: SocketAddr,
    listener: Listener,
    control: watch::Sender<Control>,
    counts: Arc<Counts>,
    connections: JoinSet<()>,
}

enum Listener {
    Open(TcpListener),
    /// Bound and not listening: connections are refused, and the port stays reserved.
    Closed(Socket),
    /// Between the two, or permanently if that failed.
    Lost,
}

impl Server {
    async fn run(mut self, mut commands: mpsc::Receiver<PendingCommand>) {
        loop {
            tokio::select! {
                received = commands.recv() => {
                    let Some((command, done)) = received else { return };
                    let result = self.execute(command).await;
                    // The sender of the command may have been dropped.
                    drop(done.send(result));
                }
                stream = self.listener.accept() => self.serve(stream),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn execute(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Set(mode) => {
                self.control.send_modify(|control| control.mode = mode);
                let listener = std::mem::replace(&mut self.listener, Listener::Lost);
                self.listener =
                    if mode == Mode::Closed { listener.close()? } else { listener.open()? };
            }
            Command::End(end) => {
                self.control.send_modify(|control| {
                    control.ends += 1;
                    control.end = end;
                });
                while self.connections.join_next().await.is_some() {}
            }
        }
        Ok(())
    }

    fn serve(&mut self, client: TcpStream) {
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let control = self.control.subscribe();
        let connection = Connection::new(client, self.upstream, control, self.counts.clone());
        self.connections.spawn(connection.run());
    }
}

impl Listener {
    async fn accept(&self) -> TcpStream {
        loop {
            match self {
                Self::Open(listener) => match listener.accept().await {
                    Ok((stream, _)) => return stream,
                    // The client disconnected before accept, or there are no file descriptors left: try the next one.
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                },
                Self::Closed(_) | Self::Lost => std::future::pending().await,
            }
        }
    }

    /// Linux: a socket that is shut down no longer listens, and keeps its port. One that is closed listens until the last copy is closed: a process
    /// that another thread is just starting has one.
    fn close(self) -> io::Result<Self> {
        let Self::Open(listener) = self else { return Ok(self) };
        let socket = Socket::from(listener.into_std()?);
        socket.shutdown(Shutdown::Both)?;
        Ok(Self::Closed(socket))
    }

    fn open(self) -> io::Result<Self> {
        match self {
            Self::Open(_) => Ok(self),
            Self::Closed(socket) => {
                socket.listen(BACKLOG)?;
                TcpListener::from_std(socket.into()).map(Self::Open)
            }
            Self::Lost => Err(io::Error::other("the proxy lost its port")),
        }
    }
}

#[cfg(test)]
mod tests;
