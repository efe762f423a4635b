//! One try: a request to one instance, on an idle connection or a new one, up to the head of the response.

use std::{sync::Arc, time::Duration};

use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    connection::{
        Connection, Wire,
        dial::dial,
        idle::{IdleConnections, Lease},
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
    pub(crate) limits: Limits,
    /// Idle connections kept per instance.
    pub(crate) idle_max: u32,
    /// How long they are kept.
    pub(crate) idle_timeout: Duration,
    pub(crate) now: Instant,
}

/// The head of a response, and the connection of its body.
pub(crate) type Answer = (Response<Incoming>, Lease);

impl Attempt {
    /// Sends the request and waits for the head of the response.
    pub(crate) async fn run(
        self,
        instance: &Instance,
        names: &Names,
        request: &Outgoing<'_>,
    ) -> Result<Answer, TryOutcome> {
        while self.may_reuse
            && let Some(mut connection) = self.kept.take(self.now)
        {
            match connection.send(request, self.limits).await {
                Ok(head) => return Ok((head, self.line(connection))),
                Err(TryOutcome::IdleClosed) if !request.is_body_taken() => {}
                Err(TryOutcome::NoAnswer { why, .. }) => {
                    return Err(TryOutcome::NoAnswer { why, reused: true });
                }
                Err(outcome) => return Err(outcome),
            }
        }
        let stream =
            dial(instance, names, self.limits.connect).await.map_err(TryOutcome::NotConnected)?;
        let opened =
            Wire::open(stream, self.limits.answer).await.map_err(TryOutcome::NotConnected)?;
        let mut connection = Box::new(opened);
        self.kept.opened();
        match connection.send(request, self.limits).await {
            Ok(head) => Ok((head, self.line(connection))),
            // It was never idle: the instance accepts connections and closes them.
            Err(TryOutcome::IdleClosed) => Err(TryOutcome::NotConnected(TryError::Closed)),
            Err(outcome) => Err(outcome),
        }
    }

    fn line(self, connection: Box<Wire>) -> Lease {
        let Self { kept, idle_max, .. } = self;
        Lease { connection, kept, until: self.now + self.idle_timeout, idle_max }
    }
}
