//! One try: a request to one instance, on an idle connection or a new one, up to the head of the response.

use std::{sync::Arc, time::Duration};

use http::Response;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{
        Connection, How, Incoming, Wire,
        dial::dial,
        idle::{Idle, IdleConnections, Lease},
    },
    failed_try::TryError,
    request::Outgoing,
    tries::{Limits, TryOutcome},
};
use crate::{Instance, names::Names};

/// The connections and the deadlines of a try.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) kept: Arc<IdleConnections>,
    /// Whether an idle connection may be used.
    pub(crate) may_reuse: bool,
    pub(crate) how: How,
    pub(crate) limits: Limits,
    /// Idle connections kept per instance.
    pub(crate) idle_max: u32,
    /// How long they are kept.
    pub(crate) idle_timeout: Duration,
    pub(crate) now: Instant,
}

/// The head of a response, and the connection of its body.
pub(crate) type Answer = (Response<Incoming>, Lease);

/// A connection for a request.
enum Found {
    /// It was used before.
    Reused(Wire),
    New(Wire),
}

impl Attempt {
    /// Sends the request and waits for the head of the response.
    pub(crate) async fn run(
        mut self,
        instance: &Instance,
        names: &Names,
        request: &Outgoing<'_>,
    ) -> Result<Answer, TryOutcome> {
        loop {
            let found = self.find(instance, names).await.map_err(TryOutcome::NotConnected)?;
            let (mut connection, is_new) = match found {
                Found::Reused(connection) => (connection, false),
                Found::New(connection) => (connection, true),
            };
            return match connection.send(request, self.limits).await {
                Ok(head) => Ok((head, self.line(connection))),
                // It was never idle: the instance accepts connections and closes them.
                Err(TryOutcome::IdleClosed) if is_new => {
                    Err(TryOutcome::NotConnected(TryError::Closed))
                }
                Err(outcome) if is_new => Err(outcome),
                Err(TryOutcome::IdleClosed) if !request.is_body_taken() => continue,
                // Another kept one would refuse it too.
                Err(TryOutcome::NotConnected(_)) if !request.is_body_taken() => {
                    self.may_reuse = false;
                    continue;
                }
                Err(TryOutcome::NoAnswer { why, .. }) => {
                    Err(TryOutcome::NoAnswer { why, reused: true })
                }
                Err(outcome) => Err(outcome),
            };
        }
    }

    async fn find(&self, instance: &Instance, names: &Names) -> Result<Found, TryError> {
        let reused = || self.kept.take(self.now, &self.how).map(Found::Reused);
        if self.may_reuse
            && let Some(found) = reused()
        {
            return Ok(found);
        }
        let connect = self.limits.connect;
        let is_listed = self.may_reuse && self.idle_max > 0;
        if !is_listed || !self.kept.expects_shared(&self.how) {
            return self.open(instance, names).await.map(Found::New);
        }
        let turn = self.kept.turn();
        let waited = timeout_at(connect.at, turn.lock()).await;
        let waited = waited.map_err(|_| TryError::NotConnected(connect.span))?;
        if let Some(found) = reused() {
            return Ok(found);
        }
        // The instance may have chosen a version in which no connection is shared.
        let _turn = self.kept.expects_shared(&self.how).then_some(waited);
        self.open(instance, names).await.map(Found::New)
    }

    async fn open(&self, instance: &Instance, names: &Names) -> Result<Wire, TryError> {
        let stream = dial(instance, names, self.limits.connect).await?;
        let connection = Wire::open(stream, &instance.host, &self.how, self.limits).await?;
        self.kept.opened(&connection, &self.how);
        if let Some(connection) = connection.listed() {
            let (tls, until) = (self.how.tls.clone(), self.until());
            self.kept.put(Idle { connection, tls, until }, self.idle_max);
        }
        Ok(connection)
    }

    /// The time until which a connection may be kept.
    fn until(&self) -> Instant {
        self.now + self.idle_timeout
    }

    fn line(self, connection: Wire) -> Lease {
        let until = self.until();
        let Self { kept, idle_max, how, .. } = self;
        Lease { connection, tls: how.tls, kept, until, idle_max }
    }
}
