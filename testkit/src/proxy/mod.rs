//! A TCP proxy that misbehaves on demand, in front of a server that does not. It knows HTTP only so far as to answer nonsense or a status
//! in its place, and to count requests.

mod connection;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use self::connection::Connection;
use crate::ports;

/// Commands wait for each other: one at a time is enough.
const COMMANDS_MAX: usize = 1;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Never a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What the proxy does, to open connections as well as to new ones unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes bytes on, both ways.
    Pass,
    /// Resets new connections once they are accepted. Open ones pass.
    Reset,
    /// Refuses new connections: nobody listens. Open ones pass.
    Closed,
    /// Accepts, and nothing else: no byte moves, until another mode is set.
    Hang,
    /// Passes, and each piece (so each small request) from the client so much later.
    Delay(Duration),
    /// Answers a request with bytes that are not HTTP, and closes.
    Garbage,
    /// Answers a request with this HTTP status and no body, and closes.
    Status(u16),
}

/// A running proxy. Dropped: listener and connections are closed.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    commands: mpsc::Sender<Asked>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// A command, and whom to tell that it is done.
type Asked = (Command, oneshot::Sender<io::Result<()>>);

#[derive(Debug, Clone, Copy)]
enum Command {
    Set(Mode),
    End(End),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// In order (FIN).
    Close,
    /// Unread bytes are thrown away, and the client sees a reset.
    Reset,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    requests: AtomicU64,
}

/// What every connection watches.
#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    /// Grows with every order to end; a connection ends when it does, in this way.
    ends: u64,
    end: End,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1 and passes everything to `upstream`, which need not be there yet.
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
        let (orders, _) = watch::channel(Orders { mode: Mode::Pass, ends: 0, end: End::Close });
        let server = Server {
            upstream,
            addr,
            door: Door::Open(listener),
            orders,
            counts: counts.clone(),
            connections: JoinSet::new(),
        };
        let task = tokio::spawn(server.run(commands_rx));
        Ok(Self { addr, commands, counts, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Does this from now on. Once awaited, it holds for whoever connects.
    ///
    /// # Errors
    ///
    /// The port can't be bound again after [`Mode::Closed`].
    pub async fn set(&self, mode: Mode) -> io::Result<()> {
        self.command(Command::Set(mode)).await
    }

    /// Resets all open connections. Once awaited, they are gone.
    ///
    /// # Errors
    ///
    /// The proxy is gone.
    pub async fn cut(&self) -> io::Result<()> {
        self.command(Command::End(End::Reset)).await
    }

    /// Closes all open connections in order (FIN), as servers do with idle ones. Once awaited, they are closed.
    ///
    /// # Errors
    ///
    /// The proxy is gone.
    pub async fn close(&self) -> io::Result<()> {
        self.command(Command::End(End::Close)).await
    }

    /// How many connections it accepted so far.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// How many HTTP/1.1 requests it saw so far. A request line that comes in pieces is missed, but test clients write it at once.
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    async fn command(&self, command: Command) -> io::Result<()> {
        let gone = || io::Error::other("the proxy is gone");
        let (done, done_rx) = oneshot::channel();
        self.commands.send((command, done)).await.map_err(|_| gone())?;
        done_rx.await.map_err(|_| gone())?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    addr: SocketAddr,
    upstream: SocketAddr,
    door: Door,
    orders: watch::Sender<Orders>,
    counts: Arc<Counts>,
    connections: JoinSet<()>,
}

enum Door {
    Open(TcpListener),
    /// Bound and not listening: connections are refused, and nobody else gets the port.
    Closed(Socket),
    /// Between the two, or for good if the port could not be had again.
    Gone,
}

impl Server {
    async fn run(mut self, mut commands: mpsc::Receiver<Asked>) {
        loop {
            tokio::select! {
                asked = commands.recv() => {
                    let Some((command, done)) = asked else { return };
                    let obeyed = self.obey(command).await;
                    // Whoever asked may have gone; then nobody wants to know.
                    drop(done.send(obeyed));
                }
                stream = self.door.accept() => self.serve(stream),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Set(mode) => {
                self.orders.send_modify(|orders| orders.mode = mode);
                let door = std::mem::replace(&mut self.door, Door::Gone);
                self.door =
                    if mode == Mode::Closed { door.close(self.addr)? } else { door.open()? };
            }
            Command::End(end) => {
                self.orders.send_modify(|orders| {
                    orders.ends += 1;
                    orders.end = end;
                });
                while self.connections.join_next().await.is_some() {}
            }
        }
        Ok(())
    }

    fn serve(&mut self, client: TcpStream) {
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let orders = self.orders.subscribe();
        let connection = Connection::new(client, self.upstream, orders, self.counts.clone());
        self.connections.spawn(connection.run());
    }
}

impl Door {
    async fn accept(&self) -> TcpStream {
        loop {
            match self {
                Self::Open(listener) => match listener.accept().await {
                    Ok((stream, _)) => return stream,
                    // The client left before we came, or we are out of files: the next one may do better.
                    Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                },
                Self::Closed(_) | Self::Gone => std::future::pending().await,
            }
        }
    }

    fn close(self, addr: SocketAddr) -> io::Result<Self> {
        if matches!(self, Self::Closed(_)) {
            return Ok(self);
        }
        drop(self);
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        // Connections that were accepted on it may still be open.
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        Ok(Self::Closed(socket))
    }

    fn open(self) -> io::Result<Self> {
        match self {
            Self::Open(_) => Ok(self),
            Self::Closed(socket) => {
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket.into()).map(Self::Open)
            }
            Self::Gone => Err(io::Error::other("the proxy lost its port")),
        }
    }
}

#[cfg(test)]
mod tests;
