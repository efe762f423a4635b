//! One socket of a UDP route: reads the datagrams of all its clients, and writes all answers.

use std::{cell::RefCell, io, pin::pin, rc::Rc, sync::Arc, time::Duration};

use datagrams::{Batch, Datagrams, Ends};
use discovery::Pool;
use tokio::{
    net::UdpSocket,
    select,
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::debug;

use super::{
    Counts,
    session::{Sent, Session},
    sessions::{IDLE, Sessions},
    upstream::Connected,
};
use crate::{
    counters::Counters,
    route::ActiveRoute,
    worker::{Context, Drain},
};

/// Sessions of a route, in equal shares for its sockets. One more ends the session that was quiet for the longest time. Each needs a file
/// descriptor.
const SESSIONS_MAX: usize = 4096;
/// The time for missing answers after the drain has begun.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// The pause after an error of the socket itself.
const ERROR_REST: Duration = Duration::from_millis(10);

/// The socket and its sessions.
#[derive(Debug)]
pub(super) struct Port {
    socket: Datagrams,
    pub(super) route: Arc<ActiveRoute>,
    pub(super) pool: Pool,
    pub(super) context: Rc<Context>,
    pub(super) sessions: RefCell<Sessions<Ends, Session>>,
    /// Wakes the drain after an answer.
    answered: Notify,
}

/// Serves one socket of a route until the drain begins. Then no datagram of a client is read; missing answers are relayed for some time.
///
/// # Errors
/// The system refuses an option of the socket.
pub(crate) async fn serve(
    socket: std::net::UdpSocket,
    route: Arc<ActiveRoute>,
    context: Rc<Context>,
    drain: Drain,
) -> io::Result<()> {
    let Some(pool) = route.pool.clone() else { return Ok(()) };
    let sessions = RefCell::new(Sessions::new(SESSIONS_MAX.div_ceil(context.count)));
    let socket = Datagrams::new(UdpSocket::from_std(socket)?)?;
    let port = Rc::new(Port { socket, route, pool, context, sessions, answered: Notify::new() });
    let mut batch = Batch::new();
    let mut expiry = pin!(sleep(IDLE));
    loop {
        select! {
            biased;
            () = drain.begun() => break,
            received = port.socket.receive(&mut batch) => match received {
                Ok(()) => port.forward_all(&batch),
                Err(error) => {
                    debug!(service = port.route.service(), %error, "a datagram could not be received");
                    sleep(ERROR_REST).await;
                }
            },
            () = &mut expiry => expiry.as_mut().reset(port.expire(Instant::now())),
        }
    }
    drop(batch);
    timeout(ANSWERS_WITHIN, port.last_answers()).await.ok();
    Ok(())
}

impl Port {
    pub(super) fn counters(&self) -> &Counters {
        self.context.counters(&self.route)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counters().udp
    }

    fn forward_all(self: &Rc<Self>, batch: &Batch) {
        let now = Instant::now();
        for (datagram, ends) in batch.iter() {
            let sent = self.sessions.borrow_mut().touch(&ends, now).map(|it| it.send(datagram));
            match sent {
                Some(Sent::Move(apart_from)) => {
                    self.counts().moved.add(1);
                    self.connect(datagram, ends, apart_from, now);
                }
                Some(sent) => self.count(sent, datagram),
                None => self.connect(datagram, ends, None, now),
            }
        }
    }

    pub(super) fn count(&self, sent: Sent, datagram: &[u8]) {
        match sent {
            Sent::Done => {
                self.counts().to_instances.add(1);
                self.counters().to_instances.add(datagram.len() as u64);
            }
            Sent::Dropped => self.counts().not_sent.add(1),
            Sent::Move(_) => self.counts().no_instance.add(1),
        }
    }

    /// Sends an answer of an instance to its client.
    pub(super) fn answer(&self, datagram: &[u8], ends: Ends) {
        if let Some(session) = self.sessions.borrow_mut().touch(&ends, Instant::now()) {
            session.answered();
        }
        if self.socket.try_answer(datagram, ends).is_ok() {
            self.counts().to_clients.add(1);
            self.counters().to_clients.add(datagram.len() as u64);
        } else {
            self.counts().not_sent.add(1);
        }
        self.answered.notify_one();
    }

    /// The instance behind this socket can't be reached.
    pub(super) fn lost(&self, ends: Ends, socket: &Rc<Connected>, error: &io::Error) {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.touch(&ends, Instant::now());
        let is_its = |session: &&mut Session| {
            session.upstream().is_some_and(|upstream| Rc::ptr_eq(&upstream.socket, socket))
        };
        if let Some(session) = session.filter(is_its) {
            debug!(service = self.route.service(), %error, "the instance of a session can't be reached");
            session.lose();
        }
        self.answered.notify_one();
    }

    /// Keeps a session, in place of the client's last one.
    pub(super) fn keep(&self, ends: Ends, session: Session, now: Instant) {
        let mut sessions = self.sessions.borrow_mut();
        if let Some(last) = sessions.touch(&ends, now) {
            *last = session;
            return;
        }
        self.counts().begun.add(1);
        if sessions.insert(ends, session, now).is_some() {
            self.counts().evicted.add(1);
            self.counts().ended.add(1);
        }
    }

    /// Ends the session of a client, if there is one.
    pub(super) fn end(&self, ends: Ends) {
        if self.sessions.borrow_mut().remove(&ends).is_some() {
            self.counts().ended.add(1);
        }
    }

    /// Ends the session that was quiet for the longest time. False if there is none.
    pub(super) fn evict(&self) -> bool {
        let is_one = self.sessions.borrow_mut().remove_quietest().is_some();
        if is_one {
            self.counts().evicted.add(1);
            self.counts().ended.add(1);
        }
        is_one
    }

    /// Ends the sessions that were quiet for too long. Returns when to look again.
    fn expire(&self, now: Instant) -> Instant {
        let mut sessions = self.sessions.borrow_mut();
        while sessions.expire(now).is_some() {
            self.counts().ended.add(1);
        }
        sessions.next_deadline().unwrap_or(now + IDLE)
    }

    /// Waits until no answer is missing.
    async fn last_answers(&self) {
        while self.sessions.borrow().iter().any(Session::is_unanswered) {
            self.answered.notified().await;
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.counts().ended.add(self.sessions.borrow().len() as u64);
    }
}
