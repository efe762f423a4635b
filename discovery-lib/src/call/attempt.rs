//! One try: a request to one instance, on a kept connection or a fresh one, up to the head of its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{Connection, Lost},
    deadlines::Deadline,
    dial::dial,
    kept::Kept,
    outcome::Outcome,
    tried::Why,
};
use crate::Instance;

/// Where a try goes, and how long it may take.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) kept: &'a Arc<Kept>,
    /// Whether a kept connection may serve.
    pub(crate) may_reuse: bool,
    pub(crate) connect: Deadline,
    pub(crate) answer: Deadline,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) outcome: Outcome,
    pub(crate) why: Why,
    /// Whether it befell a connection that had served before.
    pub(crate) reused: bool,
}

/// The head of an answer, and the connection that the body comes on.
pub(crate) type Answer = (Response<Incoming>, Box<Connection>);

impl Attempt<'_> {
    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn run(
        &self,
        request: &Request<Full<Bytes>>,
        now: Instant,
    ) -> Result<Answer, Fault> {
        let late =
            Fault { outcome: Outcome::NoAnswer, why: Why::Silent(self.answer.span), reused: false };
        timeout_at(self.answer.at, self.send(request, now)).await.unwrap_or(Err(late))
    }

    async fn send(&self, request: &Request<Full<Bytes>>, now: Instant) -> Result<Answer, Fault> {
        while self.may_reuse
            && let Some(mut connection) = self.kept.take(now)
        {
            match connection.send(request.clone()).await {
                Ok(answer) => return Ok((answer, connection)),
                Err(Lost::Unsent) => {}
                Err(Lost::Sent(why)) => {
                    return Err(Fault { outcome: Outcome::NoAnswer, why, reused: true });
                }
            }
        }
        let fault = |outcome, why| Fault { outcome, why, reused: false };
        let stream = dial(self.instance, self.connect)
            .await
            .map_err(|why| fault(Outcome::NotConnected, why))?;
        let mut connection = Box::new(
            Connection::open(stream).await.map_err(|why| fault(Outcome::NotConnected, why))?,
        );
        self.kept.reap();
        match connection.send(request.clone()).await {
            Ok(answer) => Ok((answer, connection)),
            Err(Lost::Unsent) => Err(fault(Outcome::NotConnected, Why::Closed)),
            Err(Lost::Sent(why)) => Err(fault(Outcome::NoAnswer, why)),
        }
    }
}
