//! The rules of a call, for programs that send HTTP requests by their own means: which outcome of a try means what, whether another try
//! may follow, when, and on which instance. [`Client`](crate::Client) follows the same rules.
//!
//! Nothing here does IO. One call has one [`Tries`]; all callers of a service share one [`Budget`], and one [`Latencies`] for hedging.
//!
//! - At most [`tries_max`](CallOptions::tries_max) tries, of which at most [`served_max`](CallOptions::served_max) may have been served.
//! - Each on an instance that has not failed this call yet, except for an idle connection that was closed: a fresh one to the same instance
//!   may be tried.
//! - One at a time; with [`CallOptions::hedge`] two, for a request that may be served twice and whose body is at hand.
//! - None that the outcome forbids, none after the deadline of the call, none beyond the retry budget of the service.
//!
//! ```
//! use discovery::{CallOptions, Error, Pick, Pool, tries::{Budget, Limits, Tries, TryOutcome}};
//! use http::{Method, Response, StatusCode};
//! use tokio::time::{Instant, sleep_until};
//!
//! /// Sends the request to one instance, within these limits, and returns the head of the response.
//! async fn send(pick: &Pick, limits: Limits) -> Result<Response<()>, TryOutcome> {
//!     // Connect by `limits.connect()`, wait for the head until `limits.answer()`, and tell what happened.
//! #   let _ = (pick, limits);
//! #   if pick.instance().port == 8001 { return Err(TryOutcome::NotConnected(discovery::TryError::Refused)) }
//!     Ok(Response::new(()))
//! }
//!
//! async fn call(pool: &Pool, budget: &Budget, options: &CallOptions) -> Result<StatusCode, Error> {
//!     let mut now = Instant::now();
//!     let mut tries = Tries::new(Method::GET, options, now);
//!     budget.request(now);
//!     let mut pick = tries.first(pool)?;
//!     loop {
//!         let limits = tries.start(&pick, now);
//!         let sent = send(&pick, limits).await;
//!         let outcome = sent.as_ref().map_or_else(|outcome| *outcome, TryOutcome::of);
//!         now = Instant::now();
//!         let next = tries.ended(&pick, &outcome, now);
//!         // To be held until the body of the response has ended.
//!         let _in_flight = pick.judge(outcome.verdict());
//!         let another = match next {
//!             Ok(at) => {
//!                 sleep_until(at).await;
//!                 now = now.max(at);
//!                 tries.another(pool, budget, now)
//!             }
//!             Err(stop) => Err(stop),
//!         };
//!         pick = match (another, sent) {
//!             (Ok(pick), _) => pick,
//!             // The response of the call, or the last of those that ask for another try.
//!             (Err(_), Ok(response)) => return Ok(response.status()),
//!             (Err(stop), Err(_)) => return Err(tries.into_error(pool.service(), stop)),
//!         };
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let options = CallOptions::default();
//! let pool = Pool::fixed("web", ["127.0.0.1:8001".parse().unwrap(), "127.0.0.1:8002".parse().unwrap()]);
//! let budget = Budget::new(&options, Instant::now())?;
//! assert_eq!(call(&pool, &budget, &options).await?, 200);
//! # Ok(())
//! # }
//! ```

mod budget;
mod deadline;
mod hedge;
mod latencies;
mod outcome;
mod timer;

use http::Method;
use tokio::time::Instant;

use super::{
    CallOptions,
    body::Reading,
    failed_try::{FailedTry, Span},
};
use crate::{
    Error, Pick, PickError, PickOptions, Pool, error::Kind, later::later, member::MemberId,
};

pub use budget::Budget;
pub use deadline::Deadline;
pub use hedge::Hedge;
pub use latencies::Latencies;
pub use outcome::{Retry, TryOutcome, is_repeatable};
pub use timer::{Limits, TryTimer};

/// Tries of one call that are under way at the same time.
const OUTSTANDING_MAX: usize = 2;

/// One call as a state machine: its tries so far, and whether another may follow.
#[derive(Debug)]
pub struct Tries {
    method: Method,
    is_repeatable: bool,
    options: CallOptions,
    until: Deadline,
    /// The number of tries that have started.
    started: usize,
    outstanding: [Option<Outstanding>; OUTSTANDING_MAX],
    tried: Vec<FailedTry>,
    /// Members that are not tried again; after the first `failed` of them those with a try under way.
    apart_from: Vec<MemberId>,
    failed: usize,
    /// How many of those that failed may have been served.
    maybe_served: usize,
    /// The earliest time of the next try, after a `Retry-After`.
    not_before: Instant,
    wants_fresh_connection: bool,
    is_body_taken: bool,
    /// The body is a stream.
    is_stream: bool,
    /// There was a second try beside another.
    has_hedged: bool,
}

/// A try under way.
#[derive(Debug, Clone, Copy)]
struct Outstanding {
    member: MemberId,
    since: Instant,
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The try has brought the response of the call.
    Answered,
    /// The request may have been served, and its method is not idempotent.
    Unrepeatable,
    /// The limit of tries is reached.
    Enough,
    /// The deadline of the call has passed, or would pass before the next try.
    Late,
    /// The retry budget of the service is spent.
    Budget,
    /// The body of the request is a stream of which a part was sent.
    BodyTaken,
    /// There is no other instance.
    NobodyElse,
}

impl Tries {
    /// An HTTP request that starts now. The options are those of a [`Client`](crate::Client).
    #[must_use]
    pub fn new(method: Method, options: &CallOptions, now: Instant) -> Self {
        Self { is_repeatable: is_repeatable(&method), method, ..Self::of_connection(options, now) }
    }

    /// A connection alone ([`Pool::connect`]): until it is there, nothing was sent, so it can always be tried again.
    #[must_use]
    pub fn of_connection(options: &CallOptions, now: Instant) -> Self {
        Self {
            method: Method::CONNECT,
            is_repeatable: true,
            until: Deadline::after(options.call_timeout, now),
            options: options.clone(),
            started: 0,
            outstanding: [None; OUTSTANDING_MAX],
            tried: Vec::new(),
            apart_from: Vec::new(),
            failed: 0,
            maybe_served: 0,
            not_before: now,
            wants_fresh_connection: false,
            is_body_taken: false,
            is_stream: false,
            has_hedged: false,
        }
    }

    /// The tries that failed so far, in order.
    #[must_use]
    pub fn tried(&self) -> &[FailedTry] {
        &self.tried
    }

    /// The end of the whole call.
    #[must_use]
    pub fn until(&self) -> Deadline {
        self.until
    }

    /// The deadline of the first list of instances ([`Pool::ready`]).
    #[must_use]
    pub fn ready_by(&self, now: Instant) -> Deadline {
        self.until.at_most(self.options.ready_timeout, now)
    }

    /// The number of tries that have started.
    pub(crate) fn started(&self) -> usize {
        self.started
    }

    /// Picks the instance of the first try.
    ///
    /// # Errors
    ///
    /// There is no instance to call ([`Error::is_no_instance`]). Wait for [`Pool::ready`] first, until [`Tries::ready_by`]: before that no
    /// instance is known.
    pub fn first(&mut self, pool: &Pool) -> Result<Pick, Error> {
        pool.pick_with(self.picking()).map_err(|error| no_instance(pool.service(), error))
    }

    /// The options of the next pick: apart from the instances that have failed this call or have a try under way. Only the first try of an
    /// idempotent request may be the probe of an ejected instance.
    pub fn picking(&mut self) -> PickOptions<'_> {
        self.apart_from.truncate(self.failed);
        self.apart_from.extend(self.outstanding.iter().flatten().map(|it| it.member));
        let picking = PickOptions::new().apart_from(&self.apart_from);
        let picking = self.options.key.map_or(picking, |key| picking.key(key));
        if self.started == 0 && self.is_repeatable { picking.repeatable() } else { picking }
    }

    /// Picks an instance for a try beyond the first, and takes the try from the budget.
    ///
    /// # Errors
    ///
    /// There is no other instance, or no budget.
    pub fn another(&mut self, pool: &Pool, budget: &Budget, now: Instant) -> Result<Pick, Stop> {
        let pick = pool.pick_with(self.picking().at(now)).map_err(|_| Stop::NobodyElse)?;
        if budget.retry(now) {
            pick.counts().retry();
            Ok(pick)
        } else {
            pick.counts().over_budget();
            Err(Stop::Budget)
        }
    }

    /// Starts a try on this pick. Returns its limits.
    pub fn start(&mut self, pick: &Pick, now: Instant) -> Limits {
        self.started += 1;
        if self.outstanding.iter().any(Option::is_some) {
            self.has_hedged = true;
            pick.counts().hedge();
        }
        if let Some(place) = self.outstanding.iter_mut().find(|place| place.is_none()) {
            *place = Some(Outstanding { member: pick.member(), since: now });
        }
        let CallOptions { connect_timeout, try_timeout, stall_timeout, .. } = self.options;
        let answer = self.until.at_most(try_timeout, now);
        Limits {
            connect: answer.at_most(connect_timeout, now),
            answer,
            attempt: try_timeout,
            stall: stall_timeout,
            until: self.until,
        }
    }

    /// Whether the next try needs a fresh connection, because an idle one was closed when the request was sent on it.
    #[must_use]
    pub fn wants_fresh_connection(&self) -> bool {
        self.wants_fresh_connection
    }

    /// The body of the request is a stream, so it is never hedged. To be called before the first try.
    pub fn stream_body(&mut self) {
        self.is_stream = true;
    }

    /// A part of the body of the request was taken from a stream and can't be sent again: no other try will follow.
    pub fn body_taken(&mut self) {
        self.is_body_taken = true;
    }

    /// Records the outcome of a try, and returns when the next may follow. Outcomes with a response are recorded too: some of them ask for
    /// another try.
    ///
    /// # Errors
    ///
    /// The reason for which no other may follow: [`Stop::Answered`] if the try brought the response of the call.
    pub fn ended(
        &mut self,
        pick: &Pick,
        outcome: &TryOutcome,
        now: Instant,
    ) -> Result<Instant, Stop> {
        let (member, retry, wait) = (pick.member(), outcome.retry(), outcome.wait());
        if retry == Retry::No {
            return Err(Stop::Answered);
        }
        for place in self.outstanding.iter_mut() {
            *place = place.filter(|it| it.member != member);
        }
        self.wants_fresh_connection |= outcome.is_idle_closed();
        // After its `Retry-After` the same instance may be tried.
        if !outcome.is_idle_closed() && wait.is_zero() {
            self.apart_from.truncate(self.failed);
            self.apart_from.push(member);
            self.failed += 1;
        }
        pick.counts().failed_try(outcome.why());
        self.tried.push(FailedTry { instance: pick.instance().clone(), why: outcome.why() });
        self.maybe_served += usize::from(retry != Retry::Always);
        self.not_before = self.not_before.max(later(now, wait));
        self.next(retry, self.not_before)
    }

    /// Whether a try may follow at this time, after one that ended like this.
    fn next(&self, retry: Retry, next: Instant) -> Result<Instant, Stop> {
        if retry == Retry::IfRepeatable && !self.is_repeatable {
            return Err(Stop::Unrepeatable);
        }
        match self.limit() {
            Some(stop) => Err(stop),
            None if next >= self.until.at => Err(Stop::Late),
            None if self.is_body_taken => Err(Stop::BodyTaken),
            None => Ok(next),
        }
    }

    /// The limit of tries that is reached, if one is. Those under way may be served.
    fn limit(&self) -> Option<Stop> {
        let CallOptions { tries_max, served_max, .. } = self.options;
        let maybe_served = self.maybe_served + self.outstanding_since().count();
        let is_reached = self.started >= tries_max as usize || maybe_served >= served_max as usize;
        is_reached.then_some(Stop::Enough)
    }

    /// The starts of the tries under way. Those of an answered call stay.
    fn outstanding_since(&self) -> impl Iterator<Item = Instant> {
        self.outstanding.iter().flatten().map(|it| it.since)
    }

    /// What the reading of a response has to keep to.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            until: self.until,
            stall: self.options.stall_timeout,
            is_repeatable: self.is_repeatable,
        }
    }

    /// The error of a call without a response. Its text names each instance that was tried and the reason of its failure.
    #[must_use]
    pub fn into_error(self, service: &str, stop: Stop) -> Error {
        let tried: Vec<String> = self.tried.iter().map(ToString::to_string).collect();
        let reason = match stop {
            Stop::Enough | Stop::Answered => String::new(),
            Stop::Unrepeatable => format!("; {} is not sent twice", self.method),
            Stop::Late => format!("; the {} of the call are over", Span(self.until.span)),
            Stop::Budget => "; the retry budget is spent".into(),
            Stop::BodyTaken => "; a streamed body is not sent twice".into(),
            Stop::NobodyElse => "; there is no other instance".into(),
        };
        let kind = if self.maybe_served == 0 {
            Kind::NoInstance
        } else if self.tried.iter().any(|tried| tried.why.is_late()) {
            Kind::Timeout
        } else {
            Kind::Unreachable
        };
        let text = format!("no answer from {service}: {}{reason}", tried.join(", "));
        let error = Error::new(kind, text).having_tried(self.tried);
        if self.maybe_served == 0 || self.is_repeatable {
            error
        } else {
            error.not_to_be_repeated()
        }
    }
}

/// The error of a call for which there is no instance.
pub(super) fn no_instance(service: &str, error: PickError) -> Error {
    Error::new(Kind::NoInstance, format!("no call to {service}: {error}"))
}

#[cfg(test)]
mod tests;
