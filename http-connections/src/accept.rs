//! Accepting connections, each with its place.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Limits, Place, Seldom,
    table::{TICK, Table},
};

/// Connections that wait to be accepted; a burst of more waits a second for its SYN to be sent again. The kernel has a limit of its own
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;
/// After a failed accept (no descriptor left): until the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that accepts only what there is room for, and ends what overstays.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    table: Arc<Table>,
    ticks: Interval,
    failed: Seldom,
    reset: Seldom,
    crowded: Seldom,
}

impl Acceptor {
    /// Accepts at this listener, whose backlog becomes 1024 whatever it was. All connections end when `stop` is cancelled
    /// ([`Place::ended`]).
    pub fn new(listener: TcpListener, limits: Limits, stop: CancellationToken) -> Self {
        // To listen again changes nothing but the backlog.
        if let Err(err) = rustix::net::listen(&listener, BACKLOG) {
            debug!(%err, "the backlog stays as it is");
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (failed, reset, crowded) = Default::default();
        Self { listener, table: Arc::new(Table::new(limits, stop)), ticks, failed, reset, crowded }
    }

    /// The next connection. Dropping the future loses none.
    pub async fn next(&mut self) -> (TcpStream, SocketAddr, Place) {
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
                    if let Some(place) = self.admit(&stream, from) {
                        return (stream, from, place);
                    }
                }
                Err(err) if concerns_one(&err) => {
                    debug!(%err, "a client left before it was accepted");
                }
                Err(err) => {
                    if self.failed.is_due(Instant::now()) {
                        warn!(%err, "no connection can be accepted; trying again");
                    }
                    self.table.give_way();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Without a place a connection is reset, as Consul does: nothing is read, nothing is answered.
    fn admit(&mut self, stream: &TcpStream, from: SocketAddr) -> Option<Place> {
        let place = self.table.enter(from.ip());
        let prepared = match &place {
            Some(_) => stream.set_nodelay(true),
            None => {
                if self.reset.is_due(Instant::now()) {
                    warn!(client = %from.ip(), "a client has too many connections; one more was reset");
                }
                stream.set_zero_linger()
            }
        };
        if let Err(err) = prepared {
            debug!(%err, "a socket's option could not be set");
        }
        self.make_room();
        place
    }

    fn make_room(&mut self) {
        if self.table.make_room() && self.crowded.is_due(Instant::now()) {
            warn!("nearly all places are taken; connections without a request in hand are closed");
        }
    }
}

async fn accept(listener: &TcpListener, table: &Table) -> io::Result<(TcpStream, SocketAddr)> {
    table.room().await;
    listener.accept().await
}

/// Whether a failed accept says something of one client, and nothing of the next.
fn concerns_one(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
