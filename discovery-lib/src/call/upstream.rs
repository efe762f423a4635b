//! One service as a client calls it: its pool, its retry budget, and a call from the first pick to an answer or an error.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{
    Body, Deadlines, Tried, Why,
    attempt::Attempt,
    budget::Budget,
    connection::Connection,
    deadlines::Deadline,
    headers,
    kept::Kept,
    outcome::{Outcome, Retry},
    tried::Span,
    tries::{Failed, Stop, Tries},
};
use crate::{Error, Pick, PickError, Pool, error::Kind};

/// How long a call waits for the first answer to who the instances are. Once there has been one, an empty pool fails at once.
pub(crate) const FIRST_ANSWER_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Upstream {
    pool: Pool,
    budget: Budget,
    name: HeaderValue,
}

/// A try that was no success.
struct Miss {
    failed: Failed,
    /// An answer that is better than none, should there be no other.
    answer: Option<Box<Response<Body>>>,
}

impl Upstream {
    pub(crate) fn new(pool: Pool, name: HeaderValue, now: Instant) -> Self {
        Self { pool, budget: Budget::new(now), name }
    }

    pub(crate) fn name(&self) -> &HeaderValue {
        &self.name
    }

    pub(crate) fn last_called_at(&self) -> Instant {
        self.budget.last_asked_at()
    }

    /// Sends the request until somebody answers it, or nobody else may be tried.
    pub(crate) async fn call(
        &self,
        request: &Request<Full<Bytes>>,
        deadlines: Deadlines,
    ) -> Result<Response<Body>, Error> {
        let now = Instant::now();
        self.budget.request(now);
        let mut tries = Tries::new(request.method().clone(), deadlines, now);
        let mut pick = first_pick(&self.pool, tries.until()).await?;
        loop {
            let miss = match self.attempt(pick, request, &tries).await {
                Ok(answer) => return Ok(answer),
                Err(miss) => miss,
            };
            tracing::debug!(service = %self.pool.service(), tried = %miss.failed.tried, "try failed");
            pick = match self.next_pick(&mut tries, miss.failed) {
                Ok(pick) => pick,
                Err(stop) => {
                    let error = || tries.into_error(self.pool.service(), stop);
                    return miss.answer.map(|answer| *answer).ok_or_else(error);
                }
            };
        }
    }

    fn next_pick(&self, tries: &mut Tries, failed: Failed) -> Result<Pick, Stop> {
        let now = Instant::now();
        tries.failed(failed, now)?;
        let pick = self.pool.pick_apart_from(tries.apart_from()).map_err(|_| Stop::NobodyElse)?;
        if self.budget.retry(now) { Ok(pick) } else { Err(Stop::Budget) }
    }

    async fn attempt(
        &self,
        pick: Pick,
        request: &Request<Full<Bytes>>,
        tries: &Tries,
    ) -> Result<Response<Body>, Miss> {
        let now = Instant::now();
        let answer = tries.attempt(now);
        let attempt = Attempt {
            instance: pick.instance(),
            kept: &Kept::of(&pick),
            may_reuse: !tries.wants_fresh_connection(),
            connect: answer.at_most(tries.deadlines().connect, now),
            answer,
        };
        match attempt.run(request, now).await {
            Ok((head, connection)) => judge_answer(pick, head, connection, tries.until()),
            Err(fault) => {
                let (verdict, retry) = fault.outcome.judge();
                let tried = Tried { instance: pick.instance().clone(), why: fault.why };
                let failed = Failed { member: pick.member(), tried, retry, reused: fault.reused };
                drop(pick.judge(verdict));
                Err(Miss { failed, answer: None })
            }
        }
    }
}

/// Takes an answer for what it is: the answer, or a reason to ask somebody else.
fn judge_answer(
    pick: Pick,
    mut head: Response<Incoming>,
    connection: Box<Connection>,
    until: Deadline,
) -> Result<Response<Body>, Miss> {
    let status = head.status();
    let leaving = head.headers().contains_key(headers::LEAVING);
    let retry_after = headers::retry_after(head.headers());
    let (verdict, retry) = Outcome::Answer { status, leaving, retry_after }.judge();
    let (instance, member) = (pick.instance().clone(), pick.member());
    headers::strip_hop_by_hop(head.headers_mut());
    let kept = Kept::of(&pick);
    let in_flight = pick.judge(verdict);
    let answer = head.map(|incoming| {
        Body::new(incoming, instance.clone(), until, (connection, kept), in_flight)
    });
    let (why, answer) = match (retry, status) {
        (Retry::No, _) => return Ok(answer),
        (Retry::Always, StatusCode::MISDIRECTED_REQUEST) => (Why::OtherService, None),
        (Retry::Always, _) => (Why::Leaving, None),
        (Retry::IfRepeatable, _) => (Why::Answered(status), Some(Box::new(answer))),
    };
    let failed = Failed { member, tried: Tried { instance, why }, retry, reused: false };
    Err(Miss { failed, answer })
}

/// Takes a member; before the first answer to who they are, waits for that.
pub(crate) async fn first_pick(pool: &Pool, until: Deadline) -> Result<Pick, Error> {
    let nobody = |error: PickError| {
        Error::new(Kind::NoInstance, format!("no call to {}: {error}", pool.service()))
    };
    match pool.pick() {
        Err(PickError::NoAnswerYet) => {}
        picked => return picked.map_err(nobody),
    }
    let wait = until.at_most(FIRST_ANSWER_WAIT, Instant::now());
    match timeout_at(wait.at, pool.ready()).await {
        Ok(Ok(())) => pool.pick().map_err(nobody),
        Ok(Err(error)) => Err(nobody(PickError::NoAnswerYet).because(error)),
        Err(_) => {
            let (service, wait) = (pool.service(), Span(wait.span));
            let text =
                format!("no call to {service}: nobody has said in {wait} who its instances are");
            Err(Error::new(Kind::NoInstance, text))
        }
    }
}
