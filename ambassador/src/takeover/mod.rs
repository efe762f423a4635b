//! A running ambassador hands its listening sockets to its successor, another process of the same user.
//!
//! Both have the same sockets for a moment, so none is ever closed with connections in its queue: a connection is accepted by one of them. The
//! predecessor stops accepting when the successor does, and ends with its last connection. Until then it continues as before: whatever fails, and
//! whenever the successor ends, nothing has changed for it.
//!
//! A UDP client gets a new session, and maybe another instance, with its next datagram: sessions are not handed over. The predecessor still
//! relays answers that are missing.
//!
//! The socket for takeovers is handed over as well, so the next successor finds it at the same path. Only its user can connect to it (mode
//! 0600), and both sides check the user of the other one.

mod channel;
mod give;
mod take;
mod wire;

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::UnixStream;

use crate::{
    Error, Listen,
    listen::{Listeners, Socket},
};
use channel::Channel;
pub(crate) use give::successor;
use wire::Name;

/// The permissions of the socket: its user alone.
const MODE: u32 = 0o600;

/// The unix socket at which one ambassador takes over from another.
#[derive(Debug)]
pub struct Takeover {
    path: PathBuf,
    stage: Stage,
    /// A duplicate of the admin listener, for the successor.
    admin: Option<(Name, Socket)>,
}

#[derive(Debug)]
enum Stage {
    /// Another ambassador serves these sockets.
    Taking { predecessor: Channel, inherited: Inherited },
    /// This one listens for its successor.
    Listening(Listeners),
}

/// Sockets of a predecessor that are not in use yet.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<(Name, Socket)>);

impl Takeover {
    /// Asks the ambassador that listens at `path` for its sockets. Without one, this one will listen there for its successor.
    ///
    /// # Errors
    /// The path can't be used, or the other ambassador refuses or does not answer. It continues as before.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let stage = match UnixStream::connect(path).await {
            Ok(stream) => {
                let (predecessor, inherited) =
                    take::sockets(stream).await.map_err(|err| refused(path, &err))?;
                Stage::Taking { predecessor, inherited }
            }
            Err(err) if is_unused(&err) => Stage::Listening(listen(path)?),
            Err(err) => return Err(refused(path, &err)),
        };
        Ok(Self { path: path.to_owned(), stage, admin: None })
    }

    /// Whether there is a running ambassador to take over from.
    #[must_use]
    pub fn has_predecessor(&self) -> bool {
        matches!(self.stage, Stage::Taking { .. })
    }

    /// The admin listener of the predecessor, if it has one at this address.
    pub fn admin(&mut self, at: SocketAddr) -> Option<TcpListener> {
        let Stage::Taking { inherited, .. } = &mut self.stage else { return None };
        match inherited.take_named(&Name::Admin(at))?.pop() {
            Some(Socket::Tcp(listener)) => Some(listener),
            _ => None,
        }
    }

    /// Hands this admin listener over to a successor, too.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn keep_admin(&mut self, listener: &tokio::net::TcpListener) -> io::Result<()> {
        let duplicate = listener.as_fd().try_clone_to_owned()?;
        self.admin = Some((Name::Admin(listener.local_addr()?), Socket::Tcp(duplicate.into())));
        Ok(())
    }

    /// The sockets of the predecessor.
    pub(crate) fn inherit(&mut self) -> Inherited {
        match &mut self.stage {
            Stage::Taking { inherited, .. } => std::mem::take(inherited),
            Stage::Listening(_) => Inherited::default(),
        }
    }

    /// Confirms to the predecessor that these sockets are served here, and then listens for a successor.
    ///
    /// # Errors
    /// The predecessor no longer waits: it continues to serve, so this one must not.
    pub(crate) async fn taken(
        &mut self,
        served: &[&Listen],
        mut rest: Inherited,
    ) -> Result<(), Error> {
        let Stage::Taking { predecessor, .. } = &self.stage else { return Ok(()) };
        let own = rest.0.iter().position(|(name, _)| *name == Name::Takeover);
        let own = own.map(|at| rest.0.swap_remove(at).1);
        let names = served.iter().map(|at| Name::of(at)).chain([Name::Takeover]).collect();
        take::confirm(predecessor, names).await.map_err(|err| refused(&self.path, &err))?;
        let listeners = match own {
            Some(socket) => Listeners::adopt(Listen::Unix(self.path.clone()), vec![socket]),
            None => listen(&self.path)?,
        };
        listeners.own_path();
        self.stage = Stage::Listening(listeners);
        Ok(())
    }

    /// The socket on which a successor connects, and the admin listener. None while there is a predecessor.
    pub(crate) fn own(&self) -> Option<Own<'_>> {
        match &self.stage {
            Stage::Listening(listeners) => Some(Own { listeners, admin: self.admin.as_ref() }),
            Stage::Taking { .. } => None,
        }
    }
}

/// The sockets of an ambassador beside those of its routes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    listeners: &'a Listeners,
    admin: Option<&'a (Name, Socket)>,
}

impl Inherited {
    /// The sockets of a route. None if the predecessor has none.
    pub(crate) fn take(&mut self, listen: &Listen) -> Option<Vec<Socket>> {
        self.take_named(&Name::of(listen))
    }

    fn take_named(&mut self, name: &Name) -> Option<Vec<Socket>> {
        let (its, rest) = std::mem::take(&mut self.0).into_iter().partition(|it| it.0 == *name);
        self.0 = rest;
        let its: Vec<(Name, Socket)> = its;
        (!its.is_empty()).then(|| its.into_iter().map(|(_, socket)| socket).collect())
    }
}

fn listen(path: &Path) -> Result<Listeners, Error> {
    let listeners = Listeners::bind(&Listen::Unix(path.to_owned()), 1)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .map_err(|err| refused(path, &err))?;
    Ok(listeners)
}

/// There is no socket, or it has no listener.
fn is_unused(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn refused(path: &Path, err: &impl fmt::Display) -> Error {
    Error::system(format!("cannot take over at {}: {err}", path.display()))
}
