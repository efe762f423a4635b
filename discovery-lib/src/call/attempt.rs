//! One try: a request to one instance, on an idle connection or a new one, up to the head of the response.

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    CallOptions,
    connection::{
        Connection, Lost, Wire,
        dial::dial,
        idle::{IdleConnections, Lease},
    },
    failed_try::TryError,
    request::Outgoing,
    tries::{Deadline, Limits, outcome::TryOutcome},
};
use crate::{Instance, names::Names};

/// The target and the deadlines of a try.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) names: &'a Names,
    pub(crate) kept: Arc<IdleConnections>,
    /// Whether an idle connection may be used.
    pub(crate) may_reuse: bool,
    pub(crate) connect: Deadline,
    pub(crate) limits: Limits,
    pub(crate) options: &'a CallOptions,
    pub(crate) now: Instant,
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) outcome: TryOutcome,
    pub(crate) why: TryError,
    /// Whether the connection had been used before.
    pub(crate) reused: bool,
}

/// The head of a response, and the connection of its body.
pub(crate) type Answer = (Response<Incoming>, Lease);

impl Attempt<'_> {
    /// Sends the request and waits for the head of the response.
    pub(crate) async fn run(self, request: &Outgoing<'_>) -> Result<Answer, Fault> {
        while self.may_reuse
            && let Some(mut connection) = self.kept.take(self.now)
        {
            match connection.send(request, self.limits).await {
                Ok(head) => return Ok((head, self.line(connection))),
                Err(Lost::Unsent) if request.is_body_taken() => {
                    return Err(Fault::not_connected(TryError::Closed));
                }
                Err(Lost::Unsent) => {}
                Err(Lost::Sent(why)) => return Err(Fault::no_answer(why, true)),
                Err(Lost::OutOfTime(why)) => return Err(Fault::out_of_time(why)),
            }
        }
        let stream =
            dial(self.instance, self.names, self.connect).await.map_err(Fault::not_connected)?;
        let opened = Wire::open(stream, self.limits.answer).await.map_err(Fault::not_connected)?;
        let mut connection = Box::new(opened);
        self.kept.opened();
        match connection.send(request, self.limits).await {
            Ok(head) => Ok((head, self.line(connection))),
            Err(Lost::Unsent) => Err(Fault::not_connected(TryError::Closed)),
            Err(Lost::Sent(why)) => Err(Fault::no_answer(why, false)),
            Err(Lost::OutOfTime(why)) => Err(Fault::out_of_time(why)),
        }
    }

    fn line(self, connection: Box<Wire>) -> Lease {
        let CallOptions { idle_max, idle_timeout, .. } = *self.options;
        Lease { connection, kept: self.kept, until: self.now + idle_timeout, idle_max }
    }
}

impl Fault {
    fn not_connected(why: TryError) -> Self {
        Self { outcome: TryOutcome::NotConnected, why, reused: false }
    }

    fn out_of_time(why: TryError) -> Self {
        Self { outcome: TryOutcome::OutOfTime, why, reused: false }
    }

    fn no_answer(why: TryError, reused: bool) -> Self {
        Self { outcome: TryOutcome::NoAnswer, why, reused }
    }
}
