//! One service of a client: its pool, its retry budget, and a call from the first pick to a response or an error.

use http::{HeaderValue, Response};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Body, CallOptions,
    attempt::Attempt,
    connection::idle::IdleConnections,
    failed_try::Span,
    headers,
    request::Outgoing,
    tries::{Budget, Retry, Stop, Tries, TryOutcome, no_instance},
};
use crate::{Error, Pick, PickError, Pool, error::Kind};

#[derive(Debug)]
pub(crate) struct Upstream {
    /// Not held, so that it ends when it is not called any more.
    pool: Pool,
    budget: Budget,
    name: HeaderValue,
    options: CallOptions,
}

/// A try without the response of the call.
struct Miss {
    /// The time of the next try, or why there is none.
    next: Result<Instant, Stop>,
    /// A response that is returned if no other try gets a better one.
    answer: Option<Box<Response<Body>>>,
}

impl Upstream {
    pub(crate) fn new(pool: Pool, name: HeaderValue, options: CallOptions, now: Instant) -> Self {
        Self { pool: pool.without_hold(), budget: Budget::of_checked(&options, now), name, options }
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
        let (mut pick, mut now) = first_pick(&self.pool, &mut tries, now).await?;
        loop {
            let Miss { next, answer } = match self.attempt(pick, request, &mut tries, now).await {
                Ok(answer) => return Ok(answer),
                Err(miss) => miss,
            };
            (pick, now) = match self.next_pick(&mut tries, next).await {
                Ok(next) => next,
                Err(stop) => {
                    let error = || {
                        let error = tries.into_error(self.pool.service(), stop);
                        match request.take_body_error() {
                            Some(source) => error.because(source),
                            None => error,
                        }
                    };
                    return answer.map(|answer| *answer).ok_or_else(error);
                }
            };
        }
    }

    /// Picks the next member after the demanded wait, if any; returns the time of the pick.
    async fn next_pick(
        &self,
        tries: &mut Tries,
        next: Result<Instant, Stop>,
    ) -> Result<(Pick, Instant), Stop> {
        let next = next?;
        if next > Instant::now() {
            sleep_until(next).await;
        }
        Ok((tries.another(&self.pool, &self.budget, next)?, next))
    }

    async fn attempt(
        &self,
        pick: Pick,
        request: &Outgoing<'_>,
        tries: &mut Tries,
        now: Instant,
    ) -> Result<Response<Body>, Miss> {
        let attempt = Attempt {
            instance: pick.instance(),
            names: self.pool.names(),
            kept: IdleConnections::of(&pick),
            may_reuse: !tries.wants_fresh_connection(),
            limits: tries.start(&pick, now),
            options: tries.options(),
            now,
        };
        let sent = attempt.run(request).await;
        if request.is_body_taken() {
            tries.body_taken();
        }
        let outcome =
            sent.as_ref().map_or_else(|outcome| *outcome, |(head, _)| TryOutcome::of(head));
        let next = tries.ended(&pick, &outcome, Instant::now());
        let (instance, in_flight) = (pick.instance().clone(), pick.judge(outcome.verdict()));
        let answer = sent.ok().map(|(mut head, line)| {
            headers::strip_hop_by_hop(head.headers_mut());
            head.map(|body| Body::new(body, instance, tries.reading(), line, in_flight))
        });
        let retry = outcome.retry();
        if retry != Retry::No
            && let Some(tried) = tries.tried().last()
        {
            tracing::debug!(service = %self.pool.service(), %tried, "try failed");
        }
        match (retry, answer) {
            (Retry::No, Some(answer)) => Ok(answer),
            (Retry::IfRepeatable, answer) => Err(Miss { next, answer: answer.map(Box::new) }),
            (Retry::Always | Retry::No, _) => Err(Miss { next, answer: None }),
        }
    }
}

/// Picks a member, after the first list of instances has arrived; returns the time of the pick.
pub(crate) async fn first_pick(
    pool: &Pool,
    tries: &mut Tries,
    now: Instant,
) -> Result<(Pick, Instant), Error> {
    let no_pick = |error| no_instance(pool.service(), error);
    match pool.pick_with(tries.picking()) {
        Err(PickError::NoAnswerYet) => {}
        picked => return picked.map(|pick| (pick, now)).map_err(no_pick),
    }
    let wait = tries.ready_by(now);
    match timeout_at(wait.at, pool.ready()).await {
        Ok(Ok(())) => tries.first(pool).map(|pick| (pick, Instant::now())),
        Ok(Err(error)) => Err(no_pick(PickError::NoAnswerYet).because(error)),
        Err(_) => {
            let (service, wait) = (pool.service(), Span(wait.span));
            let text = format!("no call to {service}: its instances are not known after {wait}");
            Err(Error::new(Kind::NoInstance, text).because(pool.silence()))
        }
    }
}
