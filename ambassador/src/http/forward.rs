//! The answer of an instance on its way to the client, while the rest of the request may still be on its way to the instance.

use std::{
    future::{pending, poll_fn},
    mem,
    task::{Context, Poll, ready},
    time::Duration,
};

use discovery::{InFlight, Verdict};
use tokio::{
    select,
    time::{Instant, sleep},
};

use super::{
    alarm::Alarm,
    attempt::Answer,
    call::{Serving, Tunnel},
    connection::{After, Connection},
    refusal::Persistence,
    transfer::{Broken, Transfer, Waiting},
    wait::{Wait, WaitTimer},
};
use crate::{stream::Stream, worker::Drain};

/// What ended an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    /// The instance did not send all of it.
    InstanceBroke,
    /// The client does not take all of it.
    ClientGone,
    /// Its time to linger is over.
    Cut,
}

impl Connection<'_> {
    /// Sends the answer to the client, to its end.
    pub(super) async fn forward(
        &mut self,
        serving: &mut Serving<'_>,
        answer: Answer,
        mut in_flight: InFlight,
    ) -> After {
        let Answer { mut upstream, member, head, .. } = answer;
        self.proxy.metrics().response(head.status);
        let out = mem::take(&mut serving.scratch.answer_head);
        let mut forward = Forward {
            is_upload_over: serving.upload.is_done(),
            serving: &mut *serving,
            client: &mut self.client,
            upstream: &mut upstream,
            alarm: &mut self.alarm,
            in_flight: &mut in_flight,
            download: Transfer::new(out, head.framing, head.sending, false),
            timer: WaitTimer::new(*self.proxy.timeouts(), Wait::InstanceSends, Instant::now()),
        };
        let linger = self.proxy.linger().map(|time| (time, forward.in_flight.gone()));
        let end = select! {
            biased;
            end = poll_fn(|cx| forward.poll(cx)) => end,
            () = lingered(linger, &self.drain) => End::Cut,
        };
        let out = forward.download.into_out();
        let Serving { plan, upload, scratch } = serving;
        scratch.answer_head = out;
        match end {
            End::Complete if head.status == 101 => {
                return After::Tunnel(Box::new(Tunnel { upstream, in_flight }));
            }
            End::Complete => {}
            End::InstanceBroke => {
                in_flight.judge(Verdict::FAILURE);
                self.proxy.metrics().broken.add(1);
                tracing::debug!(service = %plan.service.pool.service(), "the instance did not send all of its answer");
                // The client must not take the part that it has for all of it.
                self.client.reset_on_drop();
                return After::Close;
            }
            End::ClientGone => return After::Close,
            End::Cut => {
                in_flight.judge(Verdict::NOTHING);
                self.proxy.counters().cut.add(1);
                self.client.reset_on_drop();
                return After::Close;
            }
        }
        if head.keeps_upstream && scratch.answers.is_empty() {
            self.proxy.keep(member, upstream);
        }
        // The client does not send more if it asked for the close itself, and has sent all of its request.
        let is_silent = !plan.is_persistent && upload.is_done() && scratch.requests.is_empty();
        after(head.persistence, is_silent)
    }
}

/// Waits until the time to linger is over, if there is one. It begins when the instance has left or the route was removed.
async fn lingered(linger: Option<(Duration, impl Future<Output = ()>)>, drain: &Drain) {
    let Some((time, left)) = linger else { return pending().await };
    select! {
        () = left => {}
        () = drain.begun() => {}
    }
    sleep(time).await;
}

/// What follows an answer. To close a socket with unread bytes resets it, and the end of the answer may be lost.
fn after(persistence: Persistence, is_silent: bool) -> After {
    match persistence {
        Persistence::Implied | Persistence::KeepAlive => After::Next,
        Persistence::Close if is_silent => After::Close,
        Persistence::Close => After::Linger,
    }
}

/// An answer on its way.
struct Forward<'a, 's> {
    serving: &'a mut Serving<'s>,
    client: &'a mut Stream,
    upstream: &'a mut Stream,
    alarm: &'a mut Alarm,
    in_flight: &'a mut InFlight,
    is_upload_over: bool,
    download: Transfer,
    timer: WaitTimer,
}

impl Forward<'_, '_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Serving { upload, scratch, .. } = &mut *self.serving;
        if !self.is_upload_over {
            // Whatever ended it, the answer has been decided on: it is forwarded, and the connection closed.
            let polled = upload.poll(cx, self.client, &mut scratch.requests, self.upstream);
            self.is_upload_over = polled.is_ready();
        }
        match self.download.poll(cx, self.upstream, &mut scratch.answers, self.client) {
            Poll::Ready(Ok(())) => return Poll::Ready(End::Complete),
            Poll::Ready(Err(Broken::Source | Broken::Malformed)) => {
                return Poll::Ready(End::InstanceBroke);
            }
            Poll::Ready(Err(Broken::Destination)) => return Poll::Ready(End::ClientGone),
            Poll::Pending => {}
        }
        let wait = match (self.download.waiting(), upload.waiting()) {
            (Waiting::Destination, _) => Wait::ClientReads,
            (Waiting::Source, Waiting::Source) if !self.is_upload_over => Wait::ClientSends,
            (Waiting::Source, _) => Wait::InstanceSends,
        };
        let moved = upload.moved() + self.download.moved();
        let until = self.timer.until(wait, moved, Instant::now);
        if wait == Wait::InstanceSends {
            self.in_flight.still_arriving(self.timer.timeout(), Instant::now());
        }
        ready!(self.alarm.poll(cx, until));
        Poll::Ready(match wait {
            Wait::Answer | Wait::InstanceReads | Wait::InstanceSends => End::InstanceBroke,
            Wait::ClientSends | Wait::ClientReads => End::ClientGone,
        })
    }
}
