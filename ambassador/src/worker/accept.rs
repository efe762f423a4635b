//! Accepts the connections of one route on one worker, within the limits, and starts their tasks.

use std::{io, iter, net::UdpSocket as StdUdpSocket, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::spawn_local,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::{
    Context, Drain,
    context::{Full, Open},
};
use crate::{
    Target, http,
    listen::{BACKLOG, Socket},
    route::ActiveRoute,
    stream::Stream,
    tcp, udp,
};

/// After an error of `accept` that is not the connection's own, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// One route being served by one worker.
#[derive(Debug)]
pub(super) struct Accepting {
    server: Rc<RouteServer>,
    /// Duplicates of its sockets.
    sockets: Vec<Socket>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

/// Serves the connections and datagrams of one route.
#[derive(Debug)]
struct RouteServer {
    route: Arc<ActiveRoute>,
    context: Rc<Context>,
    drain: Drain,
    /// For HTTP routes.
    proxy: Option<Rc<http::Proxy>>,
}

/// A listener of the runtime.
#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    /// Starts a task per socket.
    pub(super) fn start(route: &Arc<ActiveRoute>, context: &Rc<Context>) -> Self {
        let proxy = match &route.config.target {
            Target::Http(_) | Target::HttpByHost => {
                Some(Rc::new(http::Proxy::new(Arc::clone(route), Rc::clone(context))))
            }
            Target::Tcp(_) | Target::Udp(_) => None,
        };
        let (route, context) = (Arc::clone(route), Rc::clone(context));
        let server = Rc::new(RouteServer { route, context, drain: Drain::default(), proxy });
        let (sockets, mut tasks) = (server.sockets(), Vec::new());
        for socket in &sockets {
            match socket.try_clone() {
                Ok(Socket::Udp(socket)) => server.serve_datagrams(socket),
                Ok(socket) => tasks.push(server.serve_connections(socket)),
                Err(error) => {
                    error!(service = server.route.service(), %error, "a socket can't be served")
                }
            }
        }
        Self { tasks, sockets, server }
    }

    /// Accepts no more, and begins the drain of its connections. Those that the system has queued are served.
    pub(super) fn stop(&mut self) {
        self.tasks.clear();
        for socket in &self.sockets {
            // At most a full queue: clients may connect faster than this accepts, and a successor keeps the socket open.
            let queued = iter::from_fn(|| accept_queued(socket).ok().flatten());
            queued.take(BACKLOG).for_each(|stream| self.server.admit(stream));
        }
        self.server.drain.begin();
    }
}

impl RouteServer {
    fn sockets(&self) -> Vec<Socket> {
        let Context { index, count, .. } = *self.context;
        self.route.listeners.of_worker(index, count).unwrap_or_else(|error| {
            error!(service = self.route.service(), %error, "sockets can't be shared with a worker");
            Vec::new()
        })
    }

    /// Accepts connections until the task is dropped.
    fn serve_connections(self: &Rc<Self>, socket: Socket) -> AbortOnDropHandle<()> {
        let server = Rc::clone(self);
        AbortOnDropHandle::new(spawn_local(async move {
            if let Err(error) = accept_all(socket, &server).await {
                error!(service = server.route.service(), %error, "a socket can't be served");
            }
        }))
    }

    /// Relays datagrams until the drain. As a connection, the task may then finish.
    fn serve_datagrams(&self, socket: StdUdpSocket) {
        let (route, context) = (Arc::clone(&self.route), Rc::clone(&self.context));
        let (drain, open) = (self.drain.clone(), self.context.hold());
        spawn_local(async move {
            let service = Arc::clone(&route);
            if let Err(error) = udp::serve(socket, route, context, drain).await {
                error!(service = service.service(), %error, "a socket can't be served");
            }
            drop(open);
        });
    }

    /// Serves a connection, or resets it at a limit.
    fn admit(&self, stream: Stream) {
        let counters = self.context.counters(&self.route);
        counters.accepted.add(1);
        match self.context.open(&self.route) {
            Ok(open) => self.serve(stream, open),
            Err(full) => {
                match full {
                    Full::Route => counters.over_route_limit.add(1),
                    Full::Total => counters.over_total_limit.add(1),
                }
                if self.route.may_warn() {
                    let (service, listen) = (self.route.service(), &self.route.listeners.at);
                    warn!(service, %listen, limit = ?full, "connections over the limit are reset");
                }
                stream.reset();
            }
        }
    }

    fn serve(&self, stream: Stream, open: Open) {
        match &self.proxy {
            Some(proxy) => {
                let (proxy, drain) = (Rc::clone(proxy), self.drain.clone());
                spawn_local(async move {
                    proxy.serve(stream, drain).await;
                    drop(open);
                });
            }
            None => {
                let (route, context) = (Arc::clone(&self.route), Rc::clone(&self.context));
                let drain = self.drain.clone();
                spawn_local(async move {
                    tcp::serve(stream, &route, &context, drain).await;
                    drop(open);
                });
            }
        }
    }
}

/// Accepts until the future is dropped.
async fn accept_all(socket: Socket, server: &RouteServer) -> io::Result<()> {
    let listener = match socket {
        Socket::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
        Socket::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        Socket::Udp(_) => return Ok(()),
    };
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(it, _)| Stream::Tcp(it)),
            Listener::Unix(listener) => listener.accept().await.map(|(it, _)| Stream::Unix(it)),
        };
        match accepted {
            Ok(stream) => server.admit(stream),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                warn!(service = server.route.service(), %error, "accept failed");
                sleep(PAUSE).await;
            }
        }
    }
}

/// A connection from the queue of a socket; None if there is none.
fn accept_queued(socket: &Socket) -> io::Result<Option<Stream>> {
    let accepted = match socket {
        Socket::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream).map(Stream::Tcp)
        }),
        Socket::Unix(listener) => listener.accept().and_then(|(stream, _)| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream).map(Stream::Unix)
        }),
        Socket::Udp(_) => return Ok(None),
    };
    match accepted {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // Others may be in the queue behind it.
        Err(error) if is_of_connection(&error) => accept_queued(socket),
        Err(error) => Err(error),
    }
}

/// The client was gone before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
