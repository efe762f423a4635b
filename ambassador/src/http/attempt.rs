//! One try: sends a request to one instance, on a kept connection or a new one, up to the head of the response.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use discovery::{
    MemberId, Pick, TryError,
    tries::{Deadline, TryOutcome, is_repeatable},
};
use http::{Method, StatusCode};
use tokio::{io::AsyncWrite, time::Instant};

use super::{
    alarm::Alarm,
    call::Serving,
    connection::Connection,
    framing::{Framing, Version},
    kept::Check,
    refusal::{Persistence, Refusal},
    request::HEADERS_MAX,
    response::Response,
    scan::Scan,
    transfer::{Broken, Sending, Waiting},
    wait::{Wait, WaitTimer},
};
use crate::stream::Stream;

/// Responses with 1xx before the final one.
const INTERIM_MAX: usize = 8;

/// The target of a try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) pick: &'a Pick,
    pub(super) connect: Deadline,
    /// Whether a kept connection may be used.
    pub(super) may_reuse: bool,
    pub(super) now: Instant,
}

/// The head of a final response. The client's is written already, to the scratch.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) upstream: Stream,
    pub(super) member: MemberId,
    pub(super) head: AnswerHead,
    pub(super) outcome: TryOutcome,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    pub(super) framing: Framing,
    pub(super) sending: Sending,
    /// Whether the connection to the instance can be used again.
    pub(super) keeps_upstream: bool,
    /// The Connection header that the client gets.
    pub(super) persistence: Persistence,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Fault {
    Try(TryOutcome),
    Client(ClientFault),
}

/// Why a request can't be completed, through no fault of an instance.
#[derive(Debug)]
pub(super) enum ClientFault {
    Gone,
    Refused(Refusal),
}

/// What ended an exchange.
enum Lost {
    /// The connection was closed before anything was sent on it.
    Unsent,
    Sent(TryError),
    Client(ClientFault),
}

impl Connection<'_> {
    /// Sends the request and waits for the head of the response.
    pub(super) async fn attempt(
        &mut self,
        target: Try<'_>,
        serving: &mut Serving<'_>,
    ) -> Result<Answer, Fault> {
        let Try { pick, connect, may_reuse, now } = target;
        let member = pick.member();
        let is_repeatable = is_repeatable(&serving.plan.method);
        let check = if is_repeatable { Check::Known } else { Check::Asked };
        while may_reuse && let Some(upstream) = self.proxy.kept.take(member, check, now) {
            self.proxy.metrics().reused.add(1);
            match self.exchange((member, upstream), serving, now).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Unsent) => {}
                Err(Lost::Sent(why)) => {
                    return Err(Fault::Try(TryOutcome::NoAnswer { why, reused: true }));
                }
                Err(Lost::Client(fault)) => return Err(Fault::Client(fault)),
            }
        }
        let not_connected = |why| Fault::Try(TryOutcome::NotConnected(why));
        let pool = &serving.plan.service.pool;
        let upstream = pool.dial(pick, connect).await.map_err(not_connected)?;
        self.proxy.metrics().opened.add(1);
        match self.exchange((member, Stream::Tcp(upstream)), serving, Instant::now()).await {
            Ok(answer) => Ok(answer),
            Err(Lost::Unsent) => Err(not_connected(TryError::Closed)),
            Err(Lost::Sent(why)) => Err(Fault::Try(TryOutcome::NoAnswer { why, reused: false })),
            Err(Lost::Client(fault)) => Err(Fault::Client(fault)),
        }
    }

    async fn exchange(
        &mut self,
        (member, mut upstream): (MemberId, Stream),
        serving: &mut Serving<'_>,
        now: Instant,
    ) -> Result<Answer, Lost> {
        // What the last instance sent is not of this one.
        serving.scratch.answers.clear();
        let mut exchange = Exchange {
            serving: &mut *serving,
            client: &mut self.client,
            upstream: &mut upstream,
            alarm: &mut self.alarm,
            is_upload_over: false,
            ended: None,
            scan: Scan::default(),
            interim: Vec::new(),
            interims: 0,
            timer: WaitTimer::new(*self.proxy.timeouts(), Wait::Answer, now),
        };
        let length = poll_fn(|cx| exchange.poll(cx)).await?;
        let (head, outcome) = self.read_head(serving, length)?;
        serving.scratch.answers.consume(length);
        Ok(Answer { upstream, member, head, outcome })
    }

    /// Reads the head of the final response, and writes the one for the client.
    fn read_head(
        &self,
        serving: &mut Serving<'_>,
        length: usize,
    ) -> Result<(AnswerHead, TryOutcome), Lost> {
        let Serving { plan, upload, scratch } = serving;
        let garbled = || Lost::Sent(TryError::Garbled);
        let mut room = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
        let bytes = &scratch.answers.filled()[..length];
        let is_head = plan.method == Method::HEAD;
        let response = Response::read(bytes, &mut room, is_head).map_err(|_| garbled())?;
        let status = StatusCode::from_u16(response.status).map_err(|_| garbled())?;
        let is_delimited = response.is_delimited(plan.version);
        let persistence = self.persistence(plan, upload.is_done() && is_delimited);
        scratch.answer_head.clear();
        response.write(&mut scratch.answer_head, plan.version, persistence);
        let head = AnswerHead {
            status: response.status,
            framing: response.framing,
            sending: response.sending(plan.version),
            keeps_upstream: response.is_persistent() && upload.is_done(),
            persistence,
        };
        Ok((head, response.outcome(status)))
    }
}

/// A request being sent, and the head of its response being read.
struct Exchange<'a, 's> {
    serving: &'a mut Serving<'s>,
    client: &'a mut Stream,
    upstream: &'a mut Stream,
    alarm: &'a mut Alarm,
    /// Whether the request is sent, or the instance accepts no more of it.
    is_upload_over: bool,
    /// The result, while an interim response still has to be written.
    ended: Option<Result<usize, Lost>>,
    scan: Scan,
    /// 1xx responses that are to be written to the client.
    interim: Vec<u8>,
    interims: usize,
    timer: WaitTimer,
}

impl Exchange<'_, '_> {
    /// Ready with the length of the head of the final response.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Lost>> {
        if self.ended.is_none()
            && let Poll::Ready(ended) = self.poll_exchange(cx)
        {
            self.ended = Some(ended);
        }
        self.poll_interim(cx)?;
        // Nothing may follow the first part of an interim response but the rest of it.
        if self.interim.is_empty()
            && let Some(ended) = self.ended.take()
        {
            return Poll::Ready(ended);
        }
        let moved = self.serving.upload.moved();
        let until = self.timer.until(self.wait(), moved, Instant::now);
        ready!(self.alarm.poll(cx, until));
        Poll::Ready(Err(self.late()))
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Lost>> {
        self.poll_upload(cx)?;
        self.poll_head(cx)
    }

    fn wait(&self) -> Wait {
        match self.serving.upload.waiting() {
            _ if self.ended.is_some() => Wait::ClientReads,
            _ if self.is_upload_over => Wait::Answer,
            Waiting::Source => Wait::ClientSends,
            Waiting::Destination => Wait::InstanceReads,
        }
    }

    fn late(&self) -> Lost {
        let timeout = self.timer.timeout();
        match self.timer.wait() {
            _ if !self.interim.is_empty() => Lost::Client(ClientFault::Gone),
            Wait::ClientSends | Wait::ClientReads => {
                Lost::Client(ClientFault::Refused(Refusal::BODY_LATE))
            }
            Wait::InstanceReads => Lost::Sent(TryError::Stalled(timeout)),
            Wait::Answer | Wait::InstanceSends => Lost::Sent(TryError::Silent(timeout)),
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        if self.is_upload_over {
            return Ok(());
        }
        let Serving { upload, scratch, .. } = &mut *self.serving;
        match upload.poll(cx, self.client, &mut scratch.requests, self.upstream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.is_upload_over = true,
            // The response may be there already: it is read.
            Poll::Ready(Err(Broken::Destination)) if upload.has_begun() => {
                self.is_upload_over = true;
            }
            Poll::Ready(Err(Broken::Destination)) => return Err(Lost::Unsent),
            Poll::Ready(Err(Broken::Source)) => return Err(Lost::Client(ClientFault::Gone)),
            Poll::Ready(Err(Broken::Malformed)) => {
                return Err(Lost::Client(ClientFault::Refused(Refusal::BODY_BROKEN)));
            }
        }
        Ok(())
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Lost>> {
        loop {
            let answers = &mut self.serving.scratch.answers;
            match self.scan.head_end(answers.filled()) {
                Err(_) => return Poll::Ready(Err(Lost::Sent(TryError::Garbled))),
                Ok(Some(length)) => {
                    if !self.is_interim(length)? {
                        return Poll::Ready(Ok(length));
                    }
                    self.serving.scratch.answers.consume(length);
                    self.scan = Scan::default();
                }
                Ok(None) if answers.is_full() => {
                    return Poll::Ready(Err(Lost::Sent(TryError::HeadTooLong)));
                }
                Ok(None) => {
                    let count = ready!(answers.poll_fill(cx, self.upstream)).unwrap_or(0);
                    // Unexpected bytes are not an answer to this request.
                    if !self.serving.upload.has_begun() {
                        return Poll::Ready(Err(Lost::Unsent));
                    }
                    if count == 0 {
                        return Poll::Ready(Err(Lost::Sent(TryError::Closed)));
                    }
                }
            }
        }
    }

    /// Whether the head with this length is that of an interim response. One that the client understands is forwarded.
    fn is_interim(&mut self, length: usize) -> Result<bool, Lost> {
        let Serving { plan, scratch, .. } = &*self.serving;
        let head = &scratch.answers.filled()[..length];
        if !matches!(head, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'1', ..]) {
            return Ok(false);
        }
        let garbled = || Lost::Sent(TryError::Garbled);
        let mut room = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
        let response = Response::read(head, &mut room, false).map_err(|_| garbled())?;
        self.interims += 1;
        let is_upgrade = response.status == 101;
        if is_upgrade && plan.is_upgrade && self.is_upload_over {
            return Ok(false);
        }
        if is_upgrade || self.interims > INTERIM_MAX {
            return Err(garbled());
        }
        let is_expected = response.status != 100 || plan.expects_continue;
        if plan.version >= Version::Http11 && is_expected {
            response.write(&mut self.interim, plan.version, Persistence::Implied);
        }
        Ok(true)
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        while !self.interim.is_empty() {
            match Pin::new(&mut *self.client).poll_write(cx, &self.interim) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count)) if count > 0 => drop(self.interim.drain(..count)),
                Poll::Ready(_) => return Err(Lost::Client(ClientFault::Gone)),
            }
        }
        Ok(())
    }
}
