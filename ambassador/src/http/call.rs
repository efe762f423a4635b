//! One request: from its head to the end of its answer, over as many tries as the rules of discovery-lib allow.

use std::{mem, mem::MaybeUninit, rc::Rc};

use discovery::{
    Error, InFlight, Pick, PickError,
    tries::{Retry, Stop, Tries},
};
use http::Method;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::{
    attempt::{Answer, ClientFault, Fault, Try},
    connection::{After, Connection},
    framing::{Framing, Version},
    refusal::{Persistence, Refusal},
    request::{HEADERS_MAX, Hop, Request},
    scratch::Scratch,
    services::Service,
    transfer::{Sending, Transfer},
};
use crate::stream::Stream;

/// Clients' connections of one worker and route that wait for their next request. Beyond it, answers close their connections.
const IDLE_CLIENTS_MAX: usize = 4096;

/// What a request is, after its head was read and rewritten.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) service: Rc<Service>,
    pub(super) method: Method,
    pub(super) version: Version,
    /// Whether the client expects to send another request.
    pub(super) is_persistent: bool,
    pub(super) is_upgrade: bool,
    pub(super) expects_continue: bool,
}

/// A request while it is served, with the buffers of its connection.
#[derive(Debug)]
pub(super) struct Serving<'a> {
    pub(super) plan: Plan,
    pub(super) upload: Transfer,
    pub(super) scratch: &'a mut Scratch,
}

/// A connection to an instance, for another protocol from now on.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) upstream: Stream,
    pub(super) in_flight: InFlight,
}

/// What the tries of a request came to.
enum Called {
    Answered(Answer, InFlight),
    /// This proxy answers.
    Failed(Refusal),
    Client(ClientFault),
}

impl Connection<'_> {
    /// Serves the request whose head has this length.
    pub(super) async fn request(&mut self, scratch: &mut Scratch, length: usize) -> After {
        let now = Instant::now();
        let (plan, mut upload) = match self.plan(scratch, length, now) {
            Ok(planned) => planned,
            Err(refusal) => return self.refuse(scratch, &refusal).await,
        };
        scratch.requests.consume(length);
        if upload.prepare(&mut scratch.requests).is_err() {
            return self.refuse(scratch, &Refusal::BODY_BROKEN).await;
        }
        let mut serving = Serving { plan, upload, scratch };
        let after = match self.call(&mut serving, now).await {
            Called::Answered(answer, in_flight) => {
                self.forward(&mut serving, answer, in_flight).await
            }
            Called::Failed(refusal) => {
                let Serving { plan, upload, scratch } = &mut serving;
                let persistence = self.persistence(plan, upload.is_read());
                let metrics = self.proxy.metrics();
                if refusal.status < 500 { &metrics.refused } else { &metrics.failed }.add(1);
                self.answer(scratch, &refusal, persistence, plan.method == Method::HEAD).await
            }
            Called::Client(ClientFault::Gone) => After::Close,
            Called::Client(ClientFault::Refused(refusal)) => {
                self.refuse(serving.scratch, &refusal).await
            }
        };
        serving.scratch.request_head = serving.upload.into_out();
        after
    }

    /// Reads the head and writes the one for the instance.
    fn plan(
        &self,
        scratch: &mut Scratch,
        length: usize,
        now: Instant,
    ) -> Result<(Plan, Transfer), Refusal> {
        let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let request = Request::read(&scratch.requests.filled()[..length], &mut room)?;
        let service = self.proxy.service(request.host, now)?;
        let hop = Hop {
            service: service.pool.service(),
            peer: self.peer,
            trusts_callers: self.proxy.trusts_callers(),
        };
        let mut head = mem::take(&mut scratch.request_head);
        head.clear();
        request.write(&mut head, &hop);
        let sending = match request.framing {
            Framing::Chunked => Sending::Chunked,
            Framing::Length(_) | Framing::UntilClose => Sending::Plain,
        };
        let method = Method::from_bytes(request.method.as_bytes());
        let plan = Plan {
            method: method.map_err(|_| Refusal::bad("the method is not a name"))?,
            version: request.version,
            is_persistent: request.is_persistent(),
            is_upgrade: request.is_upgrade(),
            expects_continue: request.expects_continue(),
            service,
        };
        Ok((plan, Transfer::new(head, request.framing, sending, true)))
    }

    /// The Connection header of the answer. `is_read`: there is no unread part of its request.
    pub(super) fn persistence(&self, plan: &Plan, is_read: bool) -> Persistence {
        let is_full = self.proxy.idle.get() >= IDLE_CLIENTS_MAX;
        if !plan.is_persistent || !is_read || is_full || self.drain.has_begun() {
            Persistence::Close
        } else if plan.version == Version::Http10 {
            Persistence::KeepAlive
        } else {
            Persistence::Implied
        }
    }

    /// Tries instances until one answers, or no other try may follow.
    async fn call(&mut self, serving: &mut Serving<'_>, now: Instant) -> Called {
        let service = Rc::clone(&serving.plan.service);
        let service = &*service;
        service.budget.request(now);
        let mut tries = Tries::new(serving.plan.method.clone(), &self.options, now);
        let (mut pick, mut now) = match first_pick(service, &mut tries, now).await {
            Ok(picked) => picked,
            Err(refusal) => return Called::Failed(refusal),
        };
        loop {
            let limits = tries.start(&pick, now);
            let may_reuse = !tries.wants_fresh_connection();
            let target = Try { pick: &pick, connect: limits.connect(), may_reuse, now };
            let (outcome, answer) = match self.attempt(target, serving).await {
                Ok(answer) => (answer.outcome, Some(answer)),
                Err(Fault::Try(outcome)) => (outcome, None),
                Err(Fault::Client(fault)) => return Called::Client(fault),
            };
            if !serving.upload.is_replayable() {
                tries.body_taken();
            }
            let ended_at = Instant::now();
            let next = tries.ended(&pick, &outcome, ended_at);
            let in_flight = pick.judge_at(outcome.verdict(), ended_at);
            if next != Err(Stop::Answered) {
                self.proxy.metrics().failed_try(&outcome);
                debug!(service = %service.pool.service(), tried = ?tries.tried().last(), "try failed");
            }
            match (another(service, &mut tries, next).await, answer) {
                (Ok(other), _) => {
                    (pick, now) = other;
                    serving.upload.rewind();
                }
                (Err(_), Some(answer)) if outcome.retry() != Retry::Always => {
                    return Called::Answered(answer, in_flight);
                }
                (Err(stop), _) => {
                    return Called::Failed(failed(tries.into_error(service.pool.service(), stop)));
                }
            }
        }
    }
}

/// Picks an instance, after the first list of them has arrived; returns the time of the pick.
async fn first_pick(
    service: &Service,
    tries: &mut Tries,
    now: Instant,
) -> Result<(Pick, Instant), Refusal> {
    let pool = &service.pool;
    match pool.pick_with(tries.picking()) {
        Err(PickError::NoAnswerYet) => {}
        picked => return service.found(picked).map(|pick| (pick, now)),
    }
    match timeout_at(tries.ready_by(now).at(), pool.ready()).await {
        Ok(Ok(())) => service.found(pool.pick_with(tries.picking())).map(|it| (it, Instant::now())),
        Ok(Err(_)) | Err(_) => service.found(Err(PickError::NoAnswerYet)).map(|pick| (pick, now)),
    }
}

/// Picks another instance, after the wait that the last one asked for.
async fn another(
    service: &Service,
    tries: &mut Tries,
    next: Result<Instant, Stop>,
) -> Result<(Pick, Instant), Stop> {
    let at = next?;
    if at > Instant::now() {
        sleep_until(at).await;
    }
    tries.another(&service.pool, &service.budget, at).map(|pick| (pick, at))
}

/// The answer of this proxy to a call without an answer.
#[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
fn failed(error: Error) -> Refusal {
    let status = if error.is_no_instance() {
        503
    } else if error.is_timeout() {
        504
    } else {
        502
    };
    Refusal { status, why: error.to_string().into() }
}
