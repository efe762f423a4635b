//! The listening sockets of a route: one per worker, in a group that the system spreads connections over (`SO_REUSEPORT`). A unix socket has no
//! such group: the workers share it.
//!
//! All sockets are made here, except those of a predecessor. Workers use duplicates, so that a socket stays open, with the connections in its
//! queue, until its [`Listeners`] is closed and all workers are done with it.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, TcpKeepalive, Type};

use crate::{Error, Listen};

/// Connections that wait to be accepted, per socket. The system may have a lower limit (`net.core.somaxconn`).
pub(crate) const BACKLOG: usize = 4096;
/// A silent connection is probed after this time, and then this often; three unanswered probes end it.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;

/// The sockets of one route.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Where they listen, with the port that the system chose.
    pub(crate) at: Listen,
    sockets: Mutex<Vec<Socket>>,
    /// Removes the path of a unix socket.
    path: Mutex<Option<OwnPath>>,
}

/// A socket that does not block.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
}

/// The path of a unix socket that was bound here, removed on drop unless it is another file by then.
#[derive(Debug)]
struct OwnPath {
    path: PathBuf,
    id: (u64, u64),
}

impl Listeners {
    /// Binds one socket per worker.
    ///
    /// # Errors
    /// The address is in use, does not belong to this machine, or needs privileges.
    pub(crate) fn bind(listen: &Listen, workers: usize) -> Result<Self, Error> {
        let refused = |err: io::Error| refused(listen, &err);
        match listen {
            Listen::Tcp(at) => {
                let (at, sockets) = group(*at, Type::STREAM, workers).map_err(refused)?;
                let sockets = sockets.into_iter().map(|it| Socket::Tcp(it.into())).collect();
                Ok(Self::adopt(Listen::Tcp(at), sockets))
            }
            Listen::Udp(at) => {
                let (at, sockets) = group(*at, Type::DGRAM, workers).map_err(refused)?;
                let sockets = sockets.into_iter().map(|it| Socket::Udp(it.into())).collect();
                Ok(Self::adopt(Listen::Udp(at), sockets))
            }
            Listen::Unix(path) => {
                let socket = unix(path).map_err(refused)?;
                let listeners = Self::adopt(listen.clone(), vec![Socket::Unix(socket)]);
                listeners.own_path();
                Ok(listeners)
            }
        }
    }

    /// Sockets that exist already. The path of a unix socket is not removed.
    pub(crate) fn adopt(at: Listen, sockets: Vec<Socket>) -> Self {
        Self { at, sockets: Mutex::new(sockets), path: Mutex::default() }
    }

    /// From now on, the path of a unix socket is removed when this is closed.
    pub(crate) fn own_path(&self) {
        let mut own = lock(&self.path);
        if let Listen::Unix(path) = &self.at
            && own.is_none()
            && let Ok(id) = file_id(path)
        {
            *own = Some(OwnPath { path: path.clone(), id });
        }
    }

    /// The path of a unix socket stays when this is closed: it belongs to another process.
    pub(crate) fn leave_path(&self) {
        std::mem::forget(lock(&self.path).take());
    }

    /// Closes the sockets. Duplicates stay open.
    pub(crate) fn close(&self) {
        lock(&self.path).take();
        lock(&self.sockets).clear();
    }

    /// Duplicates of all sockets.
    pub(crate) fn sockets(&self) -> io::Result<Vec<Socket>> {
        lock(&self.sockets).iter().map(Socket::try_clone).collect()
    }

    /// Duplicates of the sockets that a worker accepts from. Every socket has at least one worker, and every worker at least one socket.
    pub(crate) fn of_worker(&self, worker: usize, workers: usize) -> io::Result<Vec<Socket>> {
        let sockets = lock(&self.sockets);
        let own = sockets.iter().skip(worker).step_by(workers);
        let is_extra = worker >= sockets.len();
        let shared = sockets.get(worker % sockets.len().max(1)).filter(|_| is_extra);
        own.chain(shared).map(Socket::try_clone).collect()
    }
}

impl Socket {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
            Self::Udp(socket) => Self::Udp(socket.try_clone()?),
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A group of sockets with one address.
fn group(
    at: SocketAddr,
    kind: Type,
    count: usize,
) -> io::Result<(SocketAddr, Vec<socket2::Socket>)> {
    let at = possible(at);
    // Sockets of one user can join a group from any process. The first one is bound alone, to find the port in use.
    let alone = bound(at, kind, Group::Alone)?;
    let at = alone.local_addr()?.as_socket().unwrap_or(at);
    drop(alone);
    let sockets = (0..count).map(|_| {
        let socket = bound(at, kind, Group::Shared)?;
        if kind == Type::STREAM {
            set_stream_options(&socket)?;
            socket.listen(BACKLOG as i32)?;
        }
        Ok(socket)
    });
    Ok((at, sockets.collect::<io::Result<_>>()?))
}

/// Whether other sockets may have the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Alone,
    Shared,
}

fn bound(at: SocketAddr, kind: Type, group: Group) -> io::Result<socket2::Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = socket2::Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        // Connections of an earlier run that are still closing are no obstacle.
        socket.set_reuse_address(true)?;
    }
    if at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(group == Group::Shared)?;
    socket.bind(&SockAddr::from(at))?;
    Ok(socket)
}

/// `[::]`, or `0.0.0.0` on a system without IPv6.
pub(crate) fn possible(at: SocketAddr) -> SocketAddr {
    let is_all = at.is_ipv6() && at.ip().is_unspecified();
    if is_all && socket2::Socket::new(Domain::IPV6, Type::STREAM, None).is_err() {
        return (Ipv4Addr::UNSPECIFIED, at.port()).into();
    }
    at
}

/// Accepted connections inherit these.
fn set_stream_options(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())
}

/// Finds out that a peer is gone, without a timeout of its own.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES)
}

/// Binds a unix socket. An unused socket, left by a process that was killed, is replaced.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(err) if err.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether it is a socket without a listener. A connection to any other file is refused, too.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|err| err.kind() == io::ErrorKind::ConnectionRefused)
}

/// Device and inode.
fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "socket not removed");
        }
    }
}

fn refused(listen: &Listen, err: &io::Error) -> Error {
    Error::system(match (err.kind(), listen) {
        (io::ErrorKind::AddrInUse, Listen::Unix(_)) => {
            format!("{listen} exists: stop the process that listens on it, or choose another path")
        }
        (io::ErrorKind::AddrInUse, _) => {
            format!(
                "{listen} is in use: stop the process that listens on it, or choose another port"
            )
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            format!("{listen} is not an address of this machine: choose another")
        }
        (io::ErrorKind::PermissionDenied, Listen::Unix(_)) => {
            format!("permission denied for {listen}: choose a path in a folder of this user")
        }
        (io::ErrorKind::PermissionDenied, _) => {
            format!("permission denied for {listen}: choose a port above 1023")
        }
        (io::ErrorKind::NotFound, Listen::Unix(_)) => {
            format!("the folder of {listen} does not exist: create it, or choose another path")
        }
        _ => format!("cannot listen on {listen}: {err}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Listen {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for (sockets, workers) in [(1, 1), (1, 3), (2, 3), (3, 3), (5, 3)] {
            let listeners = Listeners::bind(&local(), sockets).unwrap();
            let of_workers: Vec<_> =
                (0..workers).map(|it| listeners.of_worker(it, workers).unwrap().len()).collect();
            assert!(!of_workers.contains(&0), "{sockets} {workers} {of_workers:?}");
            assert_eq!(of_workers.iter().sum::<usize>(), sockets.max(workers), "{of_workers:?}");
        }
    }

    #[test]
    fn a_port_of_another_group_is_in_use() {
        for listen in ["127.0.0.1:0", "udp:127.0.0.1:0"] {
            let first = Listeners::bind(&listen.parse().unwrap(), 2).unwrap();
            let err = Listeners::bind(&first.at, 2).unwrap_err();
            assert_eq!(
                err.to_string(),
                format!(
                    "{} is in use: stop the process that listens on it, or choose another port",
                    first.at
                )
            );
        }
    }

    #[test]
    fn the_path_of_a_killed_process_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redis.sock");
        let listen = Listen::Unix(path.clone());
        // A listener of the standard library does not remove its path, as a killed process.
        drop(UnixListener::bind(&path).unwrap());
        let first = Listeners::bind(&listen, 2).unwrap();
        let err = Listeners::bind(&listen, 2).unwrap_err();
        assert_eq!(
            err.to_string(),
            format!("{listen} exists: stop the process that listens on it, or choose another path")
        );
        assert!(path.exists());
        drop(first);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        Listeners::bind(&listen, 2).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
