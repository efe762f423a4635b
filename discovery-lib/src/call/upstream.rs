//! One service of a client: its pool, its retry budget, and a call from the first pick to a response or an error.

use std::pin::pin;

use http::{HeaderValue, Response};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::{
    Body, CallOptions,
    attempt::{Answer, Attempt},
    connection::{How, idle::IdleConnections},
    failed_try::{Span, TryError},
    headers,
    outstanding::{Event, Outstanding},
    request::Outgoing,
    spans,
    tries::{Budget, Hedge, Latencies, Retry, Stop, Tries, TryOutcome, no_instance},
};
use crate::{Error, Pick, PickError, Pool, error::Kind};

#[derive(Debug)]
pub(crate) struct Upstream {
    /// Not held, so that it ends when it is not called any more.
    pool: Pool,
    budget: Budget,
    latencies: Latencies,
    name: HeaderValue,
    options: CallOptions,
}

/// A try that has ended.
struct Ended {
    pick: Pick,
    sent: Result<Answer, TryOutcome>,
}

/// One call, from its first pick to its end.
struct Call<'a> {
    upstream: &'a Upstream,
    request: &'a Outgoing<'a>,
    options: &'a CallOptions,
    tries: Tries,
    /// When the next try is due, unless one under way ends before.
    due: Option<Instant>,
    /// The response of the last try, if it had one: that of the call if no other try gets a better one.
    answer: Option<Response<Body>>,
}

impl Upstream {
    pub(crate) fn new(pool: Pool, name: HeaderValue, options: CallOptions, now: Instant) -> Self {
        let (budget, latencies) = (Budget::of_checked(&options, now), Latencies::new(now));
        Self { pool: pool.without_hold(), budget, latencies, name, options }
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
        if request.has_stream() {
            tries.stream_body();
        }
        let (pick, now) = first_pick(&self.pool, &mut tries, now).await?;
        let upstream = self;
        let call = Call { upstream, request, options, tries, due: None, answer: None };
        let span = spans::call(self.pool.service(), &request.method);
        call.run(pick, now).instrument(span).await
    }

    /// Runs the try of this number.
    async fn attempt(
        &self,
        pick: Pick,
        request: &Outgoing<'_>,
        attempt: Attempt,
        number: usize,
    ) -> Ended {
        let span = spans::attempt(&pick, number);
        let sending = attempt.run(pick.instance(), self.pool.names(), request);
        let sent = sending.instrument(span.clone()).await;
        spans::record(&span, &sent);
        Ended { pick, sent }
    }
}

impl<'a> Call<'a> {
    async fn run(mut self, pick: Pick, now: Instant) -> Result<Response<Body>, Error> {
        let place = pin!(None);
        let mut outstanding = Outstanding::new(place);
        outstanding.start(self.start(pick, now));
        loop {
            let event = outstanding.next(self.due).await;
            let now = Instant::now();
            let next = match event {
                Event::Ended(ended) => self.record(ended, now),
                Event::Due => Ok(now),
            };
            let pick = match next {
                Ok(at) if at > now => {
                    self.due = Some(at);
                    continue;
                }
                Ok(_) => self.tries.another(&self.upstream.pool, &self.upstream.budget, now),
                Err(stop) => Err(stop),
            };
            match pick {
                Ok(pick) => outstanding.start(self.start(pick, now)),
                Err(stop) if stop == Stop::Answered || outstanding.is_empty() => {
                    return self.end(stop);
                }
                Err(_) => self.due = None,
            }
        }
    }

    /// Starts a try.
    fn start(&mut self, pick: Pick, now: Instant) -> impl Future<Output = Ended> + use<'a> {
        let CallOptions { idle_max, idle_timeout, .. } = *self.options;
        let attempt = Attempt {
            kept: IdleConnections::of(&pick),
            may_reuse: !self.tries.wants_fresh_connection(),
            how: How::of(self.options),
            limits: self.tries.start(&pick, now),
            idle_max,
            idle_timeout,
            now,
        };
        self.due = self.tries.hedge_at(&self.upstream.latencies, now);
        self.upstream.attempt(pick, self.request, attempt, self.tries.started())
    }

    /// Records a try that has ended. Returns when the next may follow.
    fn record(&mut self, Ended { pick, sent }: Ended, now: Instant) -> Result<Instant, Stop> {
        let outcome =
            sent.as_ref().map_or_else(|outcome| *outcome, |(head, _)| TryOutcome::of(head));
        // A body that failed would fail again.
        if self.request.is_body_taken() || outcome.why() == TryError::BodyFailed {
            self.tries.body_taken();
        }
        let next = self.tries.ended(&pick, &outcome, now);
        let (instance, in_flight) =
            (pick.instance().clone(), pick.judge_at(outcome.verdict(), now));
        match next {
            Err(Stop::Answered) if self.options.hedge == Some(Hedge::P95) => {
                self.upstream.latencies.record(&self.tries, now);
            }
            Err(Stop::Answered) => {}
            Ok(_) | Err(_) => {
                let (service, tried) = (self.upstream.pool.service(), self.tries.tried().last());
                tracing::debug!(%service, tried = tried.map(tracing::field::display), "try failed");
            }
        }
        // What was surely not served is not a response of the call.
        let sent = sent.ok().filter(|_| outcome.retry() != Retry::Always);
        self.answer = sent.map(|(mut head, line)| {
            headers::strip_hop_by_hop(head.headers_mut());
            head.map(|body| Body::new(body, instance, self.tries.reading(), line, in_flight))
        });
        next
    }

    /// The response of the call, or its error.
    fn end(self, stop: Stop) -> Result<Response<Body>, Error> {
        let Self { upstream, request, tries, answer, .. } = self;
        answer.ok_or_else(|| {
            let error = tries.into_error(upstream.pool.service(), stop);
            match request.take_body_error() {
                Some(source) => error.because(source),
                None => error,
            }
        })
    }
}

/// Picks a member, after the first list of instances has arrived; returns the time of the pick.
pub(crate) async fn first_pick(
    pool: &Pool,
    tries: &mut Tries,
    now: Instant,
) -> Result<(Pick, Instant), Error> {
    let no_pick = |error| no_instance(pool.service(), error);
    match pool.pick_with(tries.picking().at(now)) {
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
