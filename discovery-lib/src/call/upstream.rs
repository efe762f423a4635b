//! One service of a client: its pool, its retry budget, and a call from the first pick to a response or an error.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Body, CallOptions, FailedTry, TryError,
    attempt::Attempt,
    body::Reading,
    connection::idle::{IdleConnections, Lease},
    failed_try::Span,
    headers,
    request::Outgoing,
    tries::{
        Failure, Stop, Tries,
        budget::Budget,
        outcome::{Retry, TryOutcome, is_repeatable},
    },
};
use crate::{BreakerEvent, Error, Pick, PickError, PickOptions, Pool, error::Kind};

#[derive(Debug)]
pub(crate) struct Upstream {
    /// Not held, so that it ends when it is not called any more.
    pool: Pool,
    budget: Budget,
    name: HeaderValue,
    options: CallOptions,
}

/// A try that failed.
struct Miss {
    failed: Failure,
    /// A response that is returned if no other try gets a better one.
    answer: Option<Box<Response<Body>>>,
}

impl Upstream {
    pub(crate) fn new(pool: Pool, name: HeaderValue, options: CallOptions, now: Instant) -> Self {
        Self { pool: pool.without_hold(), budget: Budget::new(&options, now), name, options }
    }

    pub(crate) fn name(&self) -> &HeaderValue {
        &self.name
    }

    pub(crate) fn options(&self) -> &CallOptions {
        &self.options
    }

    /// Whether its pool ended, since nothing used it or its runtime ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.pool.has_ended()
    }

    pub(crate) fn has_instances(&self) -> bool {
        self.pool.has_instances()
    }

    pub(crate) fn last_called_at(&self) -> Instant {
        self.budget.last_used_at()
    }

    /// Tries instances until one responds, or no other try may follow.
    pub(crate) async fn call(
        &self,
        request: &Outgoing<'_>,
        options: &CallOptions,
    ) -> Result<Response<Body>, Error> {
        let now = Instant::now();
        self.pool.touch(now);
        self.budget.request(now);
        let mut tries = Tries::new(request.method.clone(), options, now);
        let picking = PickOptions::new();
        let picking = if is_repeatable(&request.method) { picking.repeatable() } else { picking };
        let (mut pick, mut now) = first_pick(&self.pool, picking, &tries, now).await?;
        loop {
            let miss = match self.attempt(pick, request, &tries, options, now).await {
                Ok(answer) => return Ok(answer),
                Err(miss) => miss,
            };
            tracing::debug!(service = %self.pool.service(), tried = %miss.failed.tried, "try failed");
            (pick, now) = match self.next_pick(&mut tries, miss.failed, request).await {
                Ok(next) => next,
                Err(stop) => {
                    let error = || {
                        let error = tries.into_error(self.pool.service(), stop);
                        match request.take_body_error() {
                            Some(source) => error.because(source),
                            None => error,
                        }
                    };
                    return miss.answer.map(|answer| *answer).ok_or_else(error);
                }
            };
        }
    }

    /// Picks the next member after the demanded wait, if any; returns the time of the pick.
    async fn next_pick(
        &self,
        tries: &mut Tries<'_>,
        failed: Failure,
        request: &Outgoing<'_>,
    ) -> Result<(Pick, Instant), Stop> {
        let now = Instant::now();
        let next = tries.failed(failed, now)?;
        if request.is_body_taken() {
            return Err(Stop::BodyTaken);
        }
        if next > now {
            sleep_until(next).await;
        }
        let pick = self
            .pool
            .pick_with(PickOptions::new().apart_from(tries.apart_from()))
            .map_err(|_| Stop::NobodyElse)?;
        if self.budget.retry(next) { Ok((pick, next)) } else { Err(Stop::Budget) }
    }

    async fn attempt(
        &self,
        pick: Pick,
        request: &Outgoing<'_>,
        tries: &Tries<'_>,
        options: &CallOptions,
        now: Instant,
    ) -> Result<Response<Body>, Miss> {
        let limits = tries.limits(now);
        let attempt = Attempt {
            instance: pick.instance(),
            names: self.pool.names(),
            kept: IdleConnections::of(&pick),
            may_reuse: !tries.wants_fresh_connection(),
            connect: limits.answer.at_most(options.connect_timeout, now),
            limits,
            options,
            now,
        };
        match attempt.run(request).await {
            Ok((head, line)) => judge_answer(pick, head, line, tries.reading()),
            Err(fault) => {
                let (verdict, retry) = fault.outcome.judge();
                let tried = FailedTry { instance: pick.instance().clone(), why: fault.why };
                let (member, reused) = (pick.member(), fault.reused);
                let failed = Failure { member, tried, retry, wait: Duration::ZERO, reused };
                drop(pick.judge(verdict));
                Err(Miss { failed, answer: None })
            }
        }
    }
}

/// Whether a response is the result of the call or a failed try.
fn judge_answer(
    pick: Pick,
    mut head: Response<Incoming>,
    line: Lease,
    reading: Reading,
) -> Result<Response<Body>, Miss> {
    let status = head.status();
    let outcome = TryOutcome::of(&head);
    let (verdict, retry) = outcome.judge();
    let (instance, member) = (pick.instance().clone(), pick.member());
    headers::strip_hop_by_hop(head.headers_mut());
    let in_flight = match verdict.breaker {
        BreakerEvent::Success => pick.answered(),
        _ => pick.judge(verdict),
    };
    let answer = head.map(|body| Body::new(body, instance.clone(), reading, line, in_flight));
    let (why, answer) = match (retry, status) {
        (Retry::No, _) => return Ok(answer),
        (Retry::Always, StatusCode::MISDIRECTED_REQUEST) => (TryError::OtherService, None),
        (Retry::Always, _) => (TryError::Leaving, None),
        (Retry::IfRepeatable, _) => (TryError::Answered(status), Some(Box::new(answer))),
    };
    let (tried, wait) = (FailedTry { instance, why }, outcome.wait());
    let failed = Failure { member, tried, retry, wait, reused: false };
    Err(Miss { failed, answer })
}

/// Picks a member, after the first list of instances has arrived; returns the time of the pick.
pub(crate) async fn first_pick(
    pool: &Pool,
    picking: PickOptions<'_>,
    tries: &Tries<'_>,
    now: Instant,
) -> Result<(Pick, Instant), Error> {
    let no_pick = |error: PickError| {
        Error::new(Kind::NoInstance, format!("no call to {}: {error}", pool.service()))
    };
    match pool.pick_with(picking) {
        Err(PickError::NoAnswerYet) => {}
        picked => return picked.map(|pick| (pick, now)).map_err(no_pick),
    }
    let wait = tries.ready_by(now);
    match timeout_at(wait.at, pool.ready()).await {
        Ok(Ok(())) => pool.pick_with(picking).map(|pick| (pick, Instant::now())).map_err(no_pick),
        Ok(Err(error)) => Err(no_pick(PickError::NoAnswerYet).because(error)),
        Err(_) => {
            let (service, wait) = (pool.service(), Span(wait.span));
            let text = format!("no call to {service}: its instances are not known after {wait}");
            Err(Error::new(Kind::NoInstance, text).because(pool.silence()))
        }
    }
}
