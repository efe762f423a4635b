//! How a client of a UDP port gets an instance.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use datagrams::Ends;
use discovery::{Host, MemberId, Pick, PickError, PickOptions, Verdict};
use rustix::io::Errno;
use tokio::{
    task::spawn_local,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{
    port::Port,
    session::{Sent, Session, Way},
    upstream::{Connected, Upstream},
};
use crate::tcp::sticky;

/// Instances that are tried for one datagram.
const TRIES_MAX: usize = 3;
/// The time to look up the host name of an instance.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(1);

impl Port {
    /// Sends a datagram to a new instance, and its answers back. Without an instance, the session of the client ends.
    pub(super) fn connect(
        self: &Rc<Self>,
        datagram: &[u8],
        ends: Ends,
        lost: Option<MemberId>,
        now: Instant,
    ) {
        let mut tried: Vec<MemberId> = lost.into_iter().collect();
        for _ in 0..TRIES_MAX {
            let pick = match self.pick(ends, &tried) {
                Ok(pick) => pick,
                Err(error) => {
                    debug!(service = self.route.service(), %error, "no instance for a datagram");
                    break;
                }
            };
            let member = pick.member();
            let Host::Ip(ip) = pick.instance().host else {
                let way = self.look_up(pick, datagram, ends);
                return self.keep(ends, Session::new(way), now);
            };
            let address = SocketAddr::new(ip, pick.instance().port);
            let mut session = Session::new(self.open(pick, address, ends));
            match session.send(datagram) {
                Sent::Move(_) => tried.push(member),
                sent @ (Sent::Done | Sent::Dropped) => {
                    self.count(sent, datagram);
                    return self.keep(ends, session, now);
                }
            }
        }
        self.counts().no_instance.add(1);
        self.end(ends);
    }

    /// An instance that was not tried. If the one that was lost is the only one, that one: it may be back.
    fn pick(&self, ends: Ends, tried: &[MemberId]) -> Result<Pick, PickError> {
        let mut options = PickOptions::new().repeatable();
        if self.route.config.options.sticky {
            options = options.key(sticky::key(ends.from.ip()));
        }
        match self.pool.pick_with(options.apart_from(tried)) {
            Err(PickError::AllTried) if tried.len() == 1 => self.pool.pick_with(options),
            picked => picked,
        }
    }

    /// A socket to an instance, and the task that relays its answers.
    fn open(self: &Rc<Self>, pick: Pick, address: SocketAddr, ends: Ends) -> Way {
        let socket = match self.socket_to(address) {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                debug!(service = self.route.service(), %address, %error, "no socket to an instance");
                let member = pick.member();
                let verdict = if is_limit(&error) { Verdict::ABANDONED } else { Verdict::REFUSED };
                drop(pick.judge(verdict));
                return Way::Lost(member);
            }
        };
        let answers = spawn_local(relay_answers(Rc::downgrade(self), Rc::clone(&socket), ends));
        Way::Open(Upstream::new(pick, socket, AbortOnDropHandle::new(answers)))
    }

    /// With too many open files, the quietest session makes room.
    fn socket_to(&self, address: SocketAddr) -> io::Result<Connected> {
        match Connected::new(address) {
            Err(error) if is_limit(&error) && self.evict() => Connected::new(address),
            made => made,
        }
    }

    /// Looks up the host name of an instance, and sends the datagram then.
    fn look_up(self: &Rc<Self>, pick: Pick, datagram: &[u8], ends: Ends) -> Way {
        let (port, pool, first) = (Rc::downgrade(self), self.pool.clone(), datagram.to_vec());
        let task = spawn_local(async move {
            let found = timeout(LOOK_UP_WITHIN, pool.addresses(pick.instance())).await;
            let address = found.ok().and_then(Result::ok).and_then(|all| all.first().copied());
            if let Some(port) = port.upgrade() {
                port.looked_up(pick, address, &first, ends);
            }
        });
        Way::LookUp { _task: AbortOnDropHandle::new(task) }
    }

    fn looked_up(
        self: &Rc<Self>,
        pick: Pick,
        address: Option<SocketAddr>,
        first: &[u8],
        ends: Ends,
    ) {
        let way = if let Some(address) = address {
            self.open(pick, address, ends)
        } else {
            debug!(service = self.route.service(), instance = %pick.instance(), "host name not resolved");
            let member = pick.member();
            drop(pick.judge(Verdict::REFUSED));
            Way::Lost(member)
        };
        let mut session = Session::new(way);
        self.count(session.send(first), first);
        self.keep(ends, session, Instant::now());
    }
}

/// Relays the answers of an instance to its client, while the session exists.
async fn relay_answers(port: std::rc::Weak<Port>, socket: Rc<Connected>, ends: Ends) {
    let Some(buffers) = port.upgrade().map(|port| Rc::clone(&port.context.buffers)) else { return };
    loop {
        let received = socket.receive(&buffers).await;
        let Some(port) = port.upgrade() else { return };
        match received {
            Ok((buffer, length)) => {
                port.answer(&buffer[..length], ends);
                buffers.give_back(buffer);
            }
            Err(error) => return port.lost(ends, &socket, &error),
        }
    }
}

/// Too many open files.
fn is_limit(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno == Some(Errno::MFILE) || errno == Some(Errno::NFILE)
}
