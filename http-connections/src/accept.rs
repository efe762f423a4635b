//! Accepts connections and gives a permit to each.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Limits, Permit, RateLimit,
    table::{TICK, Table},
};

/// The accept backlog. Connections above it wait a second for their SYN to be sent again. The kernel limits it further
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;
/// The pause after a failed accept (no file descriptor left).
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that accepts connections within its limits, and closes those that exceed their time.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    table: Arc<Table>,
    ticks: Interval,
    failed: RateLimit,
    reset: RateLimit,
    full: RateLimit,
}

impl Acceptor {
    /// Accepts on this listener, and sets its backlog to 1024. All connections end when `stop` is cancelled ([`Permit::ended`]).
    pub fn new(listener: TcpListener, limits: Limits, stop: CancellationToken) -> Self {
        // A second `listen` changes only the backlog.
        if let Err(err) = rustix::net::listen(&listener, BACKLOG) {
            debug!(error = %err, "backlog not changed");
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (failed, reset, full) = Default::default();
        Self { listener, table: Arc::new(Table::new(limits, stop)), ticks, failed, reset, full }
    }

    /// The next connection. Cancel safe.
    pub async fn next(&mut self) -> (TcpStream, SocketAddr, Permit) {
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &self.table) => accepted,
                _ = self.ticks.tick(), if !self.table.is_empty() => {
                    self.table.tick();
                    self.make_room();
                    continue;
                }
            };
            match accepted {
                Ok((stream, from)) => {
                    if let Some(permit) = self.admit(&stream, from) {
                        return (stream, from, permit);
                    }
                }
                Err(err) if concerns_one(&err) => {
                    debug!(error = %err, "disconnected before accept");
                }
                Err(err) => {
                    if self.failed.is_due(Instant::now()) {
                        warn!(error = %err, "accept failed; retrying");
                    }
                    self.table.shed();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// A connection without a permit is reset, as in Consul: nothing is read and nothing is answered.
    fn admit(&mut self, stream: &TcpStream, from: SocketAddr) -> Option<Permit> {
        let permit = self.table.acquire(from.ip());
        let prepared = match &permit {
            Some(_) => stream.set_nodelay(true),
            None => {
                if self.reset.is_due(Instant::now()) {
                    warn!(remote = %from.ip(), "too many connections from one address; connection reset");
                }
                stream.set_zero_linger()
            }
        };
        if let Err(err) = prepared {
            debug!(error = %err, "socket option not set");
        }
        self.make_room();
        permit
    }

    fn make_room(&mut self) {
        if self.table.make_room() && self.full.is_due(Instant::now()) {
            warn!("connection limit almost reached; idle connections are closed");
        }
    }
}

async fn accept(listener: &TcpListener, table: &Table) -> io::Result<(TcpStream, SocketAddr)> {
    table.room().await;
    listener.accept().await
}

/// Whether a failed accept concerns one client only.
fn concerns_one(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
